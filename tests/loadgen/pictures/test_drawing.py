"""Pictures as SVG: the same bytes each time, every name as text, and nothing in a name that is obeyed."""

import re
import subprocess
import sys
from xml.etree import ElementTree

import matplotlib
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from matplotlib.colors import to_hex

from flstore_core.presentation.names import fitting
from loadgen.pictures import drawing
from loadgen.pictures.base import LATENCY_AXES, Axis, Picture
from loadgen.pictures.drawing import draw

LINE = re.compile(r"line2d_\d+")
SVG = "{http://www.w3.org/2000/svg}"
CURVES = {"lru": [(1.0, 0.0), (2.0, 0.25), (4.0, 0.5)], "a & b": [(1.0, 1.0), (4.0, 1.0)]}
NUMBERS = Axis("x"), Axis("y")
MEASURED = st.floats(-1e4, 1e7).map(lambda value: round(value, 6))


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def test_a_picture_is_the_same_bytes_each_time() -> None:
    picture = Picture("Hit rate", CURVES, Axis("budget", logarithmic=True), Axis.share("hits"))
    first = draw(picture)
    draw(Picture("Another", {"one": [(0.0, 9.0)]}, *NUMBERS))
    assert draw(picture) == first
    assert not re.search(r"20\d\d-\d\d|matplotlib \d", first, re.IGNORECASE), "neither a date nor a version"


def test_title_axes_and_every_curve_are_named_in_text_of_any_sans_serif_font() -> None:
    svg = draw(Picture("a < b", CURVES, Axis("time in s"), Axis.share("requests")))
    assert {"a < b", "time in s", "requests", "lru", "a & b", "0 %", "100 %"} <= set(texts(svg))
    assert "sans-serif" in svg
    assert ElementTree.fromstring(svg).findtext(f"{SVG}title") == "a < b", "who hears a page is told what it shows"


@pytest.mark.parametrize(
    "name",
    [
        "$x_1^2$",
        "$a$ costs $b",
        "\\alpha",
        "_hidden",
        "</text><script>a()</script>",
        "&amp;",
        '" onload="x',
        "]]>",
    ],
)
def test_what_means_something_elsewhere_is_text(name: str) -> None:
    svg = draw(Picture(name, {name: [(0.0, 1.0)]}, Axis(name), Axis("y", names=(name,))))
    assert texts(svg).count(name) == 4
    assert "<script" not in svg
    assert "onload" not in str([element.attrib for element in ElementTree.fromstring(svg).iter()])


@pytest.mark.parametrize("name", ["a\nb", "\x1b[31mred", "\u202egnp.exe", "\ud800", "مستشفى", "病院" * 40, "x" * 300])
def test_what_would_be_obeyed_or_does_not_fit_is_shown_as_a_terminal_shows_it(name: str) -> None:
    svg = draw(Picture(name, {name: [(0.0, 1.0)]}, Axis(name), Axis("y")))
    assert fitting([name], drawing.NAME)[name] in texts(svg)
    assert max(map(len, texts(svg))) <= drawing.LABEL


@settings(max_examples=8, deadline=None)
@given(
    st.dictionaries(st.text(max_size=6), st.lists(st.tuples(MEASURED, MEASURED), max_size=5), max_size=4),
    st.booleans(),
)
def test_any_picture_is_well_formed(curves: dict[str, list[tuple[float, float]]], logarithmic: bool) -> None:
    axes = Axis("x", logarithmic=logarithmic), Axis("y", logarithmic=logarithmic, low=None if logarithmic else 0.0)
    found = texts(draw(Picture("any", curves, *axes)))
    assert set(fitting(curves, drawing.NAME).values()) - {""} <= set(found)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1.0, 10_000.0], {"1", "10", "100", "1,000", "10,000"}),
        ([0.00001, 0.1], {"0.00001", "0.0001", "0.001", "0.01", "0.1"}),
        ([2.0, 100.0], {"2", "5", "10", "20", "50", "100"}),
        ([0.6, 1.6], {"0.6", "0.8", "1", "1.2", "1.4", "1.6"}),
    ],
)
def test_numbers_along_a_logarithmic_axis_are_as_people_write_them(values: list[float], expected: set[str]) -> None:
    svg = draw(Picture("t", {"c": [(value, 1.0) for value in values]}, Axis("x", logarithmic=True), Axis("y", low=0.0)))
    assert expected <= set(texts(svg))


def test_rounds_and_shards_are_counted_in_whole_numbers() -> None:
    awake = [(0.0, 0.0), (1.0, 1.0), (20.0, 2.0)]
    found = texts(draw(Picture("t", {"c": awake}, Axis("x", whole=True), Axis("shards", low=0.0, whole=True))))
    assert not [each for each in found if "." in each]
    assert {"0", "5", "10", "15", "20", "1", "2"} <= set(found)


def test_ticks_and_names_stand_where_they_are_said_to() -> None:
    rows = Axis("policy", names=("first", "second"))
    svg = draw(Picture("t", {"P1": [(1.0, 0.0), (8.0, 1.0)]}, Axis("x", ticks=(1, 8)), rows, joined=False))
    assert [each for each in texts(svg) if each in {"1", "2", "4", "8"}] == ["1", "8"]
    below = {each.text: float(each.attrib["y"]) for each in ElementTree.fromstring(svg).iter(f"{SVG}text")}
    assert below["first"] < below["second"], "from the top"


def test_a_logarithmic_axis_without_a_positive_value_is_none() -> None:
    assert "0" in texts(draw(Picture("t", {"idle": [(0.0, 0.0)], "none": []}, *LATENCY_AXES)))


def test_many_curves_all_look_different() -> None:
    svg = draw(Picture("t", {f"curve {number}": [(0.0, number), (1.0, number)] for number in range(40)}, *NUMBERS))
    lines = [each for each in ElementTree.fromstring(svg).iter(f"{SVG}g") if LINE.match(each.attrib.get("id", ""))]
    looks = [
        (line[0].attrib["style"], line[1].find(f".//{SVG}path"))
        for line in lines
        if line[0].tag == f"{SVG}path" and len(line) > 1
    ]
    shown = {(style, mark.attrib["d"]) for style, mark in looks if mark is not None}
    assert len(shown) == 40


def test_the_colours_are_those_that_colour_blind_people_tell_apart() -> None:
    theirs = {to_hex(colour).upper() for colour in matplotlib.color_sequences["okabe_ito"]}
    assert set(drawing.COLOURS) - theirs == {"#7F7F7F"}
    assert theirs - set(drawing.COLOURS) == {"#F0E442"}, "yellow, on white"


def test_matplotlib_is_imported_when_a_picture_is_drawn_and_not_before() -> None:
    program = "import sys, loadgen.__main__, loadgen.run.page; sys.exit('matplotlib' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
