"""The contract: how a workload says what its answer comes to, and what a screen gets to show.

A *view* is data about a workload's answers: the finding, as a function from the answer's JSON to one line of words,
and the parts in the order of their worth. What the parts do not cover is shown by the general rule, so that a view
hides nothing, and fields that are added later appear.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

Answer = Mapping[str, Any]
"""An answer as its JSON object."""
Row = Mapping[str, Any]

MOST_ROWS = 40
"""Rows of a table, and names of a heat map, that are shown; how many more there are is said."""


@dataclass(frozen=True)
class Table:
    """Rows under headings, the most important first, in both directions."""

    title: str
    columns: Sequence[str]
    """Names of fields. The first one names the row; where there is too little room, the last ones are left out."""
    rows: Sequence[Sequence[Any]]
    """JSON values by column; at most `MOST_ROWS`."""
    more: int = 0
    """Rows that are left out."""


@dataclass(frozen=True)
class HeatMap:
    """A square of numbers between things with names, the most important first."""

    title: str
    names: Sequence[str]
    values: Sequence[Sequence[float]]
    low: float
    high: float
    """The ends of the scale of colours."""
    more: int = 0
    """Names that are left out."""


@dataclass(frozen=True)
class Facts:
    """Single values by the names of their fields."""

    title: str
    values: Mapping[str, Any]


Shown = Table | HeatMap | Facts


@dataclass(frozen=True)
class Presentation:
    """An answer as it is shown: one line of words, and what stands behind it."""

    finding: str
    parts: Sequence[Shown]
    remarks: Sequence[str] = ()
    """What has to be known of the answer besides, in sentences: whose weights are missing, what was left out."""


class Part(Protocol):
    """Makes something to be shown of an answer."""

    @property
    def covers(self) -> Sequence[str]:
        """The answer's fields that it shows."""

    def of(self, answer: Answer) -> Shown | None:
        """Return what is to be shown; None if there is nothing."""


@dataclass(frozen=True)
class Listing:
    """A list of an answer as a table."""

    field: str
    """Name of the field; the field holds objects, unless `rows` makes them."""
    first: Sequence[str]
    """The columns that come first, by their worth. The one that names the row comes before all others."""
    order: Callable[[Row], Any] | None = None
    """Key by which rows are sorted, ascending; None keeps the answer's own order."""
    title: str = ""
    """Says how it is sorted, where that is not plain to see."""
    rows: Callable[[Answer], Sequence[Row]] | None = None
    """Makes the rows of the whole answer, where the field alone does not have them."""
    only: bool = False
    """Whether the columns in `first` are all."""
    also: Sequence[str] = ()
    """Further fields that the rows cover."""

    @property
    def covers(self) -> Sequence[str]:
        return (self.field, *self.also)

    def of(self, answer: Answer) -> Table | None:
        rows = self.rows(answer) if self.rows else answer[self.field]
        if not rows:
            return None
        ordered = sorted(rows, key=self.order) if self.order else rows
        return tabled(self.title, ordered, self.first, self.only)


@dataclass(frozen=True)
class Grid:
    """A square matrix of an answer as a heat map."""

    field: str
    names: str
    """The field that names its rows, which are its columns too."""
    low: float
    high: float
    order: Callable[[Sequence[float]], float] | None = None
    """Key of a row by which names are sorted, ascending."""
    title: str = ""

    @property
    def covers(self) -> Sequence[str]:
        return (self.field, self.names)

    def of(self, answer: Answer) -> HeatMap | None:
        names, values = answer[self.names], answer[self.field]
        if not names:
            return None
        order = list(range(len(names)))
        if self.order:
            key = self.order
            order.sort(key=lambda row: key(values[row]))
        kept = order[:MOST_ROWS]
        square = [[values[row][column] for column in kept] for row in kept]
        return HeatMap(self.title, [names[row] for row in kept], square, self.low, self.high, len(order) - len(kept))


@dataclass(frozen=True)
class View:
    """How the answers of a workload are summed up and shown.

    A workload of a package has one as its attribute `view`; it may do without.
    """

    finding: Callable[[Answer], str]
    """Says what the answer comes to, in one line."""
    parts: Sequence[Part] = ()
    """What stands behind it, the most important first."""
    told: Sequence[str] = ()
    """Fields that the finding tells, and that need not be shown once more."""


def tabled(title: str, rows: Sequence[Row], first: Sequence[str], only: bool = False) -> Table:
    """Return a table of rows, whose nested objects become columns of their own; `first` are the first columns."""
    flat = [flattened(row) for row in rows[:MOST_ROWS]]
    present = dict.fromkeys(name for row in flat for name in row)
    columns = [name for name in first if name in present]
    if not only:
        columns += [name for name in present if name not in columns]
    # A column in which nothing stands says nothing.
    columns = [name for name in columns if any(row.get(name) not in (None, []) for row in flat)] or columns
    columns = columns or ["nothing"]  # objects without fields are rows all the same
    return Table(title, columns, [[row.get(name) for name in columns] for row in flat], len(rows) - len(flat))


def flattened(row: Row, prefix: str = "") -> dict[str, Any]:
    """Return a row with the fields of its nested objects as fields of its own; lists of objects become their length."""
    flat: dict[str, Any] = {}
    for name, each in row.items():
        if isinstance(each, Mapping) and each:
            flat |= flattened(each, f"{prefix}{name} ")
        elif isinstance(each, list) and any(isinstance(part, Mapping | list) for part in each):
            flat[prefix + name] = len(each)
        else:
            flat[prefix + name] = each
    return flat
