"""Tables that fit the screen: no heading and no figure is cut; columns that have no room are left out, and named.

Columns come in the order of their worth. With `wide` all are shown, in as many tables below each other as it takes,
each of which begins with the column that names the rows. A table of one row that does not fit is turned.

Example: of four columns, 20, 9, 30 and 8 cells wide, with gaps of 2 between them, a screen of 50 has room for the first
two and for the last one: 20 + 2 + 9 + 2 + 8 = 41.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from flstore_core.presentation import LEAST_ROOM, fitting, legible, listed, shown, spoken

_GAP = 2
_WRAPPED = 30
"""Cells that a column of sentences and lists has at least, if its text is that long."""


@dataclass(frozen=True)
class FittedTable:
    """Rows under headings, in as much width as there is."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    """JSON values."""
    more: int = 0
    """Rows that are left out."""
    wide: bool = False
    tidied: bool = True
    """Whether names in it are already fit to be shown."""

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        yield from [Text(self.title, "bold")] if self.title else []
        rows = self.rows if self.tidied else _tidied(self.rows, options.max_width // 2)
        bands = list(_bands(self._columns(rows), options.max_width))
        if len(bands) > 1 and len(rows) == 1:
            yield pairs(zip(self.columns, rows[0], strict=True))
            return
        for band in bands if self.wide else bands[:1]:
            yield _drawn(band)
        if len(bands) > 1 and not self.wide:
            left = [column.heading for band in bands[1:] for column in band.columns[1:]]
            yield Text(f"also there: {listed(left)}; --wide shows all", "dim")
        if self.more:
            yield Text(f"{self.more:,} more; --json shows all", "dim")

    def _columns(self, rows: Sequence[Sequence[Any]]) -> list["_Column"]:
        cells = zip(*([shown(value) for value in row] for row in rows), strict=True)
        return [
            _Column(name, each) for name, each in zip(self.columns, [*cells] or [()] * len(self.columns), strict=True)
        ]


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]], wide: bool = False) -> FittedTable:
    """Return rows under headings; columns of numbers are right-aligned."""
    return FittedTable(title, columns, [list(row) for row in rows], wide=wide, tidied=False)


def _tidied(rows: Sequence[Sequence[Any]], room: int) -> list[list[Any]]:
    """Return rows with names that fit; what has blanks is no name and can be wrapped, and a hash stays whole."""
    texts = [value for row in rows for value in row if isinstance(value, str)]
    names = fitting((text for text in texts if " " not in text and not _HASH.fullmatch(text)), max(room, LEAST_ROOM))
    return [[names.get(each, legible(each)) if isinstance(each, str) else each for each in row] for row in rows]


_HASH = re.compile("[0-9a-f]{64}")


def pairs(values: Iterable[tuple[str, Any]]) -> Table:
    """Return values beside the names of their fields."""
    grid = Table(box=None, show_header=False, pad_edge=False, padding=(0, _GAP, 0, 0))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for name, each in values:
        grid.add_row(Text(spoken(name), "dim"), Text(shown(each) or "none"))
    return grid


@dataclass(frozen=True)
class _Column:
    """A column as text, and how wide it is."""

    name: str
    cells: Sequence[str]

    @property
    def heading(self) -> str:
        return spoken(self.name)

    @cached_property
    def width(self) -> int:
        """Cells that it takes without a wrapped line."""
        return max(map(cell_len, (self.heading, *self.cells)))

    @property
    def least(self) -> int:
        """Cells that it takes at least: all, or fewer if its text can be wrapped at blanks."""
        words = [word for text in self.cells for word in text.split(" ")]
        if self.width <= _WRAPPED or not any(" " in text for text in self.cells):
            return self.width
        return min(self.width, max(_WRAPPED, cell_len(self.heading), *map(cell_len, words)))

    @property
    def numeric(self) -> bool:
        return bool(self.cells) and all(map(_numeric, self.cells))


@dataclass(frozen=True)
class _Band:
    """Columns that stand beside each other, the one that names the rows first, and their widths."""

    columns: Sequence[_Column]
    widths: Sequence[int]


def _bands(columns: Sequence[_Column], room: int) -> Iterator[_Band]:
    """Yield all columns in as few bands as the order of their worth allows; each fits into `room` cells."""
    first, *rest = columns
    while True:
        # A name takes what is left beside the next column, and half of the room at least.
        beside = rest[0].least + _GAP if rest else 0
        widths = [min(first.width, max(room - beside, room // 2))]
        band = [first]
        for column in list(rest):
            if column.least <= room - sum(widths) - _GAP * len(widths):
                band.append(column)
                widths.append(column.least)
                rest.remove(column)
        if len(band) == 1 and rest:  # not even one fits beside the name: its cells are folded
            band.append(rest.pop(0))
            widths.append(max(1, room - widths[0] - _GAP))
        yield _Band(band, _stretched(band, widths, room))
        if not rest:
            return


def _stretched(columns: Sequence[_Column], widths: Sequence[int], room: int) -> list[int]:
    """Return widths with what is left of the room given to columns that would be wrapped."""
    left = room - sum(widths) - _GAP * (len(widths) - 1)
    result = []
    for column, width in zip(columns, widths, strict=True):
        more = min(max(left, 0), column.width - width)
        result.append(width + more)
        left -= more
    return result


def _drawn(band: _Band) -> Table:
    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, _GAP - 1, 0, 0))
    for column, width in zip(band.columns, band.widths, strict=True):
        drawn.add_column(
            Text(column.heading), justify="right" if column.numeric else "left", overflow="fold", width=width
        )
    for row in zip(*(column.cells for column in band.columns), strict=True):
        drawn.add_row(*map(Text, row))
    return drawn


_NUMBER = re.compile(r"-?[0-9][0-9,]*(\.[0-9]+)?(e[+-][0-9]+)?( %| [KMGT]?i?B)?|-|")
"""A figure as it is shown, with its unit, or none."""


def _numeric(text: str) -> bool:
    return _NUMBER.fullmatch(text) is not None
