"""Dashboards and alerts as Grafana and Prometheus read them, from small ones made by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from manifests.dashboards import grafana
from manifests.dashboards.base import Alert, Dashboard, Kind, Panel, Query, Threshold, Unit, Variable


def panel(width: int = 12, height: int = 8, **changes: Any) -> Panel:
    settings: dict[str, Any] = {
        "title": "Requests",
        "description": "Requests a second.",
        "unit": Unit.REQUESTS_PER_SECOND,
        "queries": (Query("sum(rate(x[5m]))"),),
        "width": width,
        "height": height,
        **changes,
    }
    return Panel(**settings)


def shown(*panels: Panel, variables: tuple[Variable, ...] = ()) -> dict[str, Any]:
    return grafana.dashboard(Dashboard("slug", "Title", "What it shows.", panels, variables))


def test_panels_fill_rows_from_left_to_right() -> None:
    board = shown(panel(12, 8), panel(12, 6), panel(8, 4), panel(20, 4))
    assert [(each["gridPos"]["x"], each["gridPos"]["y"]) for each in board["panels"]] == [
        (0, 0),
        (12, 0),
        (0, 8),
        (0, 12),
    ]


@given(st.lists(st.tuples(st.integers(1, 24), st.integers(1, 12)), max_size=20))
def test_no_two_panels_overlap_and_none_leaves_the_page(sizes: list[tuple[int, int]]) -> None:
    taken: set[tuple[int, int]] = set()
    for each in shown(*(panel(width, height) for width, height in sizes))["panels"]:
        at = each["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not cells & taken
        assert at["x"] + at["w"] <= grafana.COLUMNS
        taken |= cells


def test_queries_are_lettered_and_asked_of_the_chosen_datasource() -> None:
    queries = (Query("a", "first"), Query("b", "second"), Query("c"))
    [made] = shown(panel(queries=queries))["panels"]
    assert [(each["refId"], each["expr"], each["legendFormat"]) for each in made["targets"]] == [
        ("A", "a", "first"),
        ("B", "b", "second"),
        ("C", "c", "__auto"),
    ]
    assert {each["datasource"]["uid"] for each in made["targets"]} == {"${datasource}"}


@pytest.mark.parametrize(
    ("threshold", "steps"),
    [
        (None, [("green", None)]),
        (Threshold(0.5, 1.0), [("green", None), ("orange", 0.5), ("red", 1.0)]),
        (Threshold(0.9, 0.5, falling=True), [("red", None), ("orange", 0.5), ("green", 0.9)]),
    ],
)
def test_colours_turn_where_a_value_gets_worse(
    threshold: Threshold | None, steps: list[tuple[str, float | None]]
) -> None:
    [made] = shown(panel(threshold=threshold))["panels"]
    defaults = made["fieldConfig"]["defaults"]
    assert [(step["color"], step["value"]) for step in defaults["thresholds"]["steps"]] == steps
    assert defaults["custom"]["thresholdsStyle"]["mode"] == ("dashed" if threshold else "off")


@pytest.mark.parametrize(("unit", "most"), [(Unit.RATIO, 1), (Unit.SECONDS, None)])
def test_a_ratio_ends_at_one_and_nothing_is_below_zero(unit: Unit, most: int | None) -> None:
    [made] = shown(panel(unit=unit))["panels"]
    defaults = made["fieldConfig"]["defaults"]
    assert (defaults["unit"], defaults["min"], defaults.get("max")) == (unit.value, 0, most)


@pytest.mark.parametrize(
    ("kind", "name", "option"),
    [
        (Kind.LINES, "timeseries", "legend"),
        (Kind.NUMBER, "stat", "reduceOptions"),
        (Kind.BARS, "bargauge", "colorMode"),
    ],
)
def test_a_kind_of_panel_has_its_options(kind: Kind, name: str, option: str) -> None:
    [made] = shown(panel(kind=kind))["panels"]
    assert made["type"] == name
    assert option in made["options"]


@pytest.mark.parametrize(("stacked", "mode"), [(True, "normal"), (False, "none")])
def test_lines_are_stacked_only_if_they_add_up(stacked: bool, mode: str) -> None:
    [made] = shown(panel(stacked=stacked))["panels"]
    assert made["fieldConfig"]["defaults"]["custom"]["stacking"] == {"mode": mode}


def test_a_variable_is_a_text_box_beside_the_datasource() -> None:
    board = shown(panel(), variables=(Variable("price", "Price of an hour", "0.05"),))
    datasource, price = board["templating"]["list"]
    assert datasource["type"] == "datasource"
    assert (price["name"], price["type"], price["query"]) == ("price", "textbox", "0.05")
    assert price["options"] == [{"text": "0.05", "value": "0.05", "selected": True}]


def test_a_dashboard_has_a_stable_uid_and_links_to_its_siblings() -> None:
    board = shown(panel())
    assert (board["uid"], board["title"]) == ("flstore-slug", "FLStore / Title")
    assert board["links"][0]["tags"] == board["tags"] == ["flstore"]


def test_an_alert_is_a_rule_with_words_for_a_person() -> None:
    alert = Alert("ItFails", "sum(rate(x[5m]))", ">", 0.05, 5, "It fails. Look at the log.", "critical")
    assert grafana.rules([alert]) == {
        "groups": [
            {
                "name": "flstore",
                "rules": [
                    {
                        "alert": "ItFails",
                        "expr": "sum(rate(x[5m])) > 0.05",
                        "for": "5m",
                        "labels": {"severity": "critical"},
                        "annotations": {"summary": "It fails. Look at the log."},
                    }
                ],
            }
        ]
    }
