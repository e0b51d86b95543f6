"""Tables: a native one, sorted by the column that is pressed, a page at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from flstore_core.presentation.words import shown, spoken
from services.console.parts.elements import block, link, name_link, text

PAGE = 25
"""Rows of a page."""


@dataclass(frozen=True)
class Link:
    """A cell that leads somewhere. Its words are a name from outside: they are shortened where they are long."""

    words: str
    target: str


@dataclass(frozen=True)
class Figure:
    """A cell that is sorted by a number and shown in other words, such as `3.2 MB`."""

    value: float
    words: str


Cell = Link | Figure | Any
"""A link, a figure, or a JSON value."""


class Table:
    """A table on the page. The order of its rows and the page that is shown are the viewer's, and in no address."""

    def __init__(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], label: str, page: int) -> None:
        self._columns = columns
        self._rows = list(rows)
        self._page = page
        self._first = 0
        self._sorted: tuple[int, bool] | None = None
        with block("div", "scrolled").props("tabindex=0 role=region") as scrolled, block("table", "rows") as table:
            scrolled.props["aria-label"] = table.props["aria-label"] = label
            with block("thead"), block("tr"):
                self._headings = [self._heading(place, name) for place, name in enumerate(columns)]
            self._body = block("tbody")
        self._pager = block("div", "pager")
        self._draw()

    def _heading(self, place: int, name: str) -> ui.element:
        heading = block("th", "number" if self._is_number(place) else "").props("scope=col")
        if not name:  # a button without words is one that nobody can name
            return heading
        with heading:
            text(spoken(name), "button").props("type=button").on("click", lambda: self._sort(place))
        return heading

    def _is_number(self, place: int) -> bool:
        return any(_is_number(row[place]) for row in self._rows)

    def _sort(self, place: int) -> None:
        # Numbers with the greatest first, names from the beginning; pressed again, the other way round.
        downwards = not self._sorted[1] if self._sorted and self._sorted[0] == place else self._is_number(place)
        self._sorted, self._first = (place, downwards), 0
        present = [row for row in self._rows if _key(row[place]) is not None]
        absent = [row for row in self._rows if _key(row[place]) is None]
        numeric = self._is_number(place)
        present.sort(key=lambda row: _sortable(row[place], numeric), reverse=downwards)
        self._rows = [*present, *absent]
        for number, heading in enumerate(self._headings):
            heading.props.pop("aria-sort", None)
            if number == place:
                heading.props["aria-sort"] = "descending" if downwards else "ascending"
            heading.update()
        self._draw()

    def _turn(self, rows: int) -> None:
        self._first = max(0, min(self._first + rows, len(self._rows) - 1))
        self._draw()

    def _draw(self) -> None:
        self._body.clear()
        with self._body:
            for row in self._rows[self._first : self._first + self._page]:
                with block("tr"):
                    for cell in row:
                        with block("td", "number" if _is_number(cell) else ""):
                            _draw(cell)
        self._pager.clear()
        if len(self._rows) > self._page:
            with self._pager:
                self._draw_pager()

    def _draw_pager(self) -> None:
        last = min(self._first + self._page, len(self._rows))
        for words, rows, possible in (
            ("Previous", -self._page, self._first > 0),
            ("Next", self._page, last < len(self._rows)),
        ):
            button = text(words, "button", "choice").props("type=button")
            button.props["disabled"] = not possible
            button.on("click", lambda _, rows=rows: self._turn(rows))
        text(f"{self._first + 1:,} to {last:,} of {len(self._rows):,}", "span", "note")


def table(columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, label: str, page: int = PAGE) -> Table:
    """Draw a table.

    Args:
        columns: names of fields, or headings.
        label: says what it lists, for whoever cannot see it.
    """
    return Table(columns, rows, label, page)


def _draw(cell: Cell) -> ui.element | TextElement:
    match cell:
        case Link():
            return name_link(cell.words, cell.target) if cell.words else link("-", cell.target)
        case Figure():
            return text(cell.words)
    return text(shown(cell))


def _key(cell: Cell) -> Any:
    return cell.words if isinstance(cell, Link) else cell.value if isinstance(cell, Figure) else cell


def _sortable(cell: Cell, numeric: bool) -> Any:
    key = _key(cell)
    if numeric:
        return float(key) if isinstance(key, int | float) else float("-inf")
    return str(key).casefold()


def _is_number(cell: Cell) -> bool:
    return isinstance(cell, Figure) or (isinstance(cell, int | float) and not isinstance(cell, bool))
