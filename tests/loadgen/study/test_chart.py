"""The study's curves as SVG."""

from xml.etree import ElementTree

import pytest

from loadgen.study.chart import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, chart

SVG = "{http://www.w3.org/2000/svg}"
CURVES = {"lru": [(4, 0.5), (1, 0.0), (2, 0.25)], "a & b": [(1, 1.0), (4, 1.0)]}


def points(root: ElementTree.Element) -> list[list[tuple[float, float]]]:
    lines = [element.attrib["points"].split() for element in root.iter(f"{SVG}polyline")]
    return [[(float(x), float(y)) for x, y in (point.split(",") for point in line)] for line in lines]


def test_budgets_double_at_equal_distances_and_rates_rise_upwards() -> None:
    first, second = points(ElementTree.fromstring(chart("Hit rate", CURVES)))
    (x1, y1), (x2, y2), (x3, y3) = first
    assert x2 - x1 == pytest.approx(x3 - x2, abs=0.2), "1, 2 and 4 rounds lie at equal distances"
    assert y1 - y2 == pytest.approx(y2 - y3, abs=0.2), "0, 25 and 50 % lie at equal distances"
    assert y1 == HEIGHT - BOTTOM
    assert [y for _, y in second] == [TOP, TOP]
    assert all(LEFT <= x <= WIDTH - RIGHT for x, _ in first)


def test_names_and_title_are_text() -> None:
    texts = [element.text for element in ElementTree.fromstring(chart("a < b", CURVES)).iter(f"{SVG}text")]
    assert {"a < b", "lru", "a & b", "0 %", "100 %", "1", "2", "4"} <= {text or "" for text in texts}


def test_one_budget_alone_can_be_drawn() -> None:
    [[(x, _)]] = points(ElementTree.fromstring(chart("t", {"lru": [(2, 0.5)]})))
    assert LEFT <= x <= WIDTH - RIGHT
