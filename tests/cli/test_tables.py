"""Tables and heat maps on screens of any width: nothing is cut, and what is left out is said."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from flstore_core.cli.heat import PALETTE, HeatPicture
from flstore_core.cli.tables import FittedTable, table
from flstore_core.presentation import HeatMap
from tests.presentation.screen import lines

TEXT = st.text("abc xyz-東", max_size=50)
ROWS = st.integers(1, 12).flatmap(
    lambda width: st.lists(st.lists(TEXT | st.floats(allow_nan=False), min_size=width, max_size=width), max_size=5)
)


def sizes(count: int, width: int) -> FittedTable:
    """Return a table with a column of names and others of a width."""
    columns = ["client", *(f"{'h' * (width - 1)}{index}" for index in range(count))]
    return FittedTable("", columns, [["c1", *range(count)], ["c2", *range(count)]])


def test_columns_that_have_no_room_are_named_and_shown_with_wide() -> None:
    narrow = sizes(6, 9)
    output = lines([narrow], 40)
    assert output[0].split() == ["client", "hhhhhhhh0", "hhhhhhhh1", "hhhhhhhh2"]
    assert output[-2:] == ["also there: hhhhhhhh3, hhhhhhhh4, hhhhhhhh5; --wide", "shows all"] or output[-1].endswith(
        "--wide shows all"
    )
    wide = lines([FittedTable(narrow.title, narrow.columns, narrow.rows, wide=True)], 40)
    headings = [line.split() for line in wide if line.startswith("client")]
    assert headings == [
        ["client", "hhhhhhhh0", "hhhhhhhh1", "hhhhhhhh2"],
        ["client", "hhhhhhhh3", "hhhhhhhh4", "hhhhhhhh5"],
    ]


def test_a_narrower_column_of_less_worth_may_fill_what_is_left() -> None:
    output = lines([FittedTable("", ["client", "w" * 40, "n"], [["c1", 1, 2], ["c2", 1, 2]])], 30)
    assert output[0].split() == ["client", "n"]


def test_a_table_of_one_row_that_does_not_fit_is_turned() -> None:
    one = FittedTable("", ["client", *("h" * 20 + str(index) for index in range(5))], [["c1", 1, 2, 3, 4, 5]])
    assert [line.split() for line in lines([one], 60)] == [
        ["client", "c1"],
        *([f"{'h' * 20}{n}", str(n + 1)] for n in range(5)),
    ]


def test_sentences_are_wrapped_beside_figures() -> None:
    output = lines(
        [FittedTable("", ["client", "reasons", "n"], [["c1", "it is much longer than the others, " * 3, 7]])], 60
    )
    assert output[2].split()[0] == "c1"
    assert " ".join(" ".join(output).split()).count("longer") == 3
    assert all(cell_len(line) <= 60 for line in output)


@given(ROWS, st.integers(20, 120), st.booleans())
def test_no_line_is_wider_than_the_screen_and_no_word_is_lost_in_wide(
    rows: list[list[Any]], width: int, wide: bool
) -> None:
    columns = [f"column{index}" for index in range(len(rows[0]) if rows else 3)]
    output = lines([table("", columns, rows, wide)], width)
    assert all(cell_len(line) <= width for line in output)
    assert output[0].lstrip().startswith("column0")
    if wide and len(rows) != 1:
        assert all(name in "".join(output) for name in columns)


@pytest.mark.parametrize("name", ["[red]x[/]", "[/x]", ":smile:", "a" * 300, "a\x1b[31mb", "a\nb", "\u202eabc", "אבגד"])
def test_hostile_names_break_no_table(name: str) -> None:
    output = lines([table("", ["job", "n", "m"], [[name, 1, 2], ["plain", 3, 4]])], 80)
    assert len(output) == 4
    assert not any(each in "".join(output) for each in "\x1b\u202e")
    assert output[2].split()[-2:] == ["1", "2"]
    assert output[2].startswith("[red]x[/]" if "red" in name else "")


@pytest.mark.parametrize(
    ("text", "right"),
    [("11,690,000", True), ("1.0 MiB", True), ("75 %", True), ("-1e+06", True),
     ("1:c3", False), ("0-3", False), ("3 c", False)],
)  # fmt: skip
def test_figures_with_their_units_are_right_aligned(text: str, right: bool) -> None:
    output = lines([table("", ["n", "column of figures"], [["a", text]])], 80)
    assert (len(output[2]) == len(output[0])) is right
    assert output[2].endswith(" " + text)


def picture(size: int, names: list[str] | None = None, high: float = 1.0) -> HeatPicture:
    values = [[high if row == other else -0.25 * high for other in range(size)] for row in range(size)]
    return HeatPicture(HeatMap("similarity", names or [f"client-{row}" for row in range(size)], values, -high, high))


def test_a_heat_map_names_its_rows_and_numbers_its_columns() -> None:
    output = lines([picture(3)], 80)
    assert [line.split() for line in output] == [
        ["similarity"],
        ["1", "2", "3"],
        ["1", "client-0", "1", "-.25", "-.25"],
        ["2", "client-1", "-.25", "1", "-.25"],
        ["3", "client-2", "-.25", "-.25", "1"],
    ]


def test_short_names_head_the_columns_themselves() -> None:
    output = lines([picture(2, ["c1", "c2"])], 80)
    assert [line.split() for line in output[1:3]] == [["c1", "c2"], ["c1", "1", "-.25"]]


def test_ten_clients_with_names_of_twenty_characters_have_room_at_80_columns() -> None:
    names = [f"hospital-{row:02}-northern" for row in range(10)]
    output = lines([picture(10, names)], 80)
    assert all(name in line for name, line in zip(names, output[2:], strict=True))
    assert all(line.count("-.25") == 9 for line in output[2:])


def test_more_clients_are_given_in_tenths_and_still_more_are_left_out() -> None:
    output = lines([picture(15)], 80)
    assert output[2].split() == ["1", "client-0", "10", *["-2"] * 14]
    assert output[-1] == "in tenths"
    output = lines([picture(40)], 80)
    assert all(cell_len(line) <= 80 for line in output)
    assert output[-1].endswith("more; --json shows all")
    assert int(output[-1].split()[0]) + len(output[2:-2]) == 40


def test_figures_above_one_are_written_out() -> None:
    assert lines([picture(2, ["a", "b"], high=12.5)], 80)[2].split() == ["a", "12.5", "-3.12"]
    even = HeatPicture(HeatMap("", ["a"], [[0.0]], 0.0, 0.0))
    assert lines([even], 80)[2].split() == ["a", ".00"]


def test_on_a_terminal_the_ground_says_the_same_and_without_colour_the_figures_remain(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    coloured = lines([picture(2)], 80, force_terminal=True, color_system="truecolor")
    assert "48;2;33;102;172" in coloured[2], "the high end is blue"
    monkeypatch.setenv("NO_COLOR", "1")
    plain = lines([picture(2)], 80, force_terminal=True, color_system="truecolor")
    assert "48;2" not in "".join(plain)
    assert "-.25" in plain[2]


CONFUSIONS: dict[str, list[float]] = {
    "protanopia": [0.152286, 1.052583, -0.204868, 0.114503, 0.786281, 0.099216, -0.003882, -0.048116, 1.051998],
    "deuteranopia": [0.367322, 0.860646, -0.227968, 0.280085, 0.672501, 0.047413, -0.011820, 0.042940, 0.968881],
    "tritanopia": [1.255528, -0.076749, -0.178779, -0.078411, 0.930809, 0.147602, 0.004733, 0.691367, 0.303900],
}
"""How colours in linear RGB are seen (Machado, Oliveira and Fernandes 2009, severity 1)."""


@pytest.mark.parametrize("kind", CONFUSIONS)
def test_the_scale_is_told_apart_with_every_kind_of_colour_blindness(kind: str) -> None:
    colours = np.array([[int(each[place : place + 2], 16) / 255 for place in (1, 3, 5)] for each in PALETTE])
    seen = np.clip((colours**2.2) @ np.reshape(CONFUSIONS[kind], (3, 3)).T, 0, 1) ** (1 / 2.2)
    apart = np.linalg.norm(seen[:, None] - seen[None, :], axis=2)
    assert apart[np.triu_indices(len(PALETTE), 1)].min() > 0.09
    assert apart[0, -1] > 0.4
