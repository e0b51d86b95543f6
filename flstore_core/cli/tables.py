"""JSON as tables that a person can read."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich import box
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

MOST_ROWS = 40


def table(title: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> Table:
    """Return rows under headings; columns of numbers are right-aligned."""
    cells = [[shown(value) for value in row] for row in rows]
    result = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    for index, column in enumerate(columns):
        numeric = bool(cells) and all(_numeric(row[index]) for row in cells)
        result.add_column(column, justify="right" if numeric else "left")
    for row in cells:
        result.add_row(*map(Text, row))
    return result


def rendered(value: Mapping[str, Any], title: str = "") -> Iterator[RenderableType]:
    """Yield a JSON object as tables: its plain members first, then its lists and objects, in order."""
    plain = {name: each for name, each in value.items() if _is_plain(each)}
    if plain:
        grid = Table(title=title or None, title_justify="left", title_style="bold", box=None, show_header=False)
        for name, each in plain.items():
            grid.add_row(Text(name, "dim"), Text(shown(each)))
        yield grid
    for name, each in value.items():
        if not _is_plain(each):
            yield from _nested(f"{title}.{name}" if title else name, each)


def shown(value: Any) -> str:
    """Return one JSON value as short text."""
    match value:
        case None:
            return "-"
        case bool():
            return "yes" if value else "no"
        case float():
            return f"{value:.4g}" if abs(value) < 1e6 else f"{value:.3e}"
        case list() | tuple():
            return ", ".join(map(shown, value))
        case Mapping():
            return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    return str(value)


def percent(rate: float | None) -> str:
    """Return a rate between 0 and 1 as `93 %`."""
    return "-" if rate is None else f"{100 * rate:.0f} %"


def _nested(title: str, value: Any) -> Iterator[RenderableType]:
    if isinstance(value, Mapping):
        if all(isinstance(each, Mapping) for each in value.values()):
            yield _of_objects(title, [{"": name, **each} for name, each in value.items()])
        else:
            yield from rendered(value, title)
    elif all(isinstance(each, Mapping) for each in value):
        yield _of_objects(title, value)
    else:
        yield _of_lists(title, [each if isinstance(each, list) else [each] for each in value])


def _of_objects(title: str, rows: Sequence[Mapping[str, Any]]) -> Table:
    columns = list(dict.fromkeys(name for row in rows for name in row))
    return _cut(table(title, columns, [[row.get(name) for name in columns] for row in rows[:MOST_ROWS]]), len(rows))


def _of_lists(title: str, rows: Sequence[Sequence[Any]]) -> Table:
    """Return lists as rows; those that are shorter than the longest end in empty cells."""
    width = max(1, *map(len, rows))
    cells = [[*row, *[""] * (width - len(row))] for row in rows[:MOST_ROWS]]
    return _cut(table(title, [str(index) for index in range(width)], cells), len(rows))


def _cut(shortened: Table, rows: int) -> Table:
    """Say below a table of `rows` rows that not all are shown."""
    if rows > MOST_ROWS:
        shortened.caption = f"{rows - MOST_ROWS} more; --json shows all"
    return shortened


def _is_plain(value: Any) -> bool:
    if isinstance(value, Mapping):
        return not value
    return not isinstance(value, list) or not any(isinstance(each, Mapping | list) for each in value)


def _numeric(text: str) -> bool:
    return text in ("", "-") or text[:1].isdigit() or (text[:1] == "-" and text[1:2].isdigit())
