"""How an answer is shown of which nobody said more: one of a workload in a package that has no view.

The main list is the first list of objects, or the first object of plain values by name, since the fields of an answer
come in the order of their worth. Its rows are named by the first field that holds a name. Rows with a true boolean
(`malicious`, `slow`, `chosen`) come first; otherwise the answer's own order stays, unless it is that of the names,
which ranks nothing: then the greatest first number comes first. The finding names what is in the first list of names,
which is how answers say whom they mean; without one it is the first row of the main list, or the plain values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from flstore_core.presentation.base import MOST_ROWS, Answer, Facts, HeatMap, Row, Shown, Table, tabled
from flstore_core.presentation.words import listed, shown, spoken

_NAMING = ("client", "name", "model", "label", "round")
"""Fields that name a row, the likeliest first."""
_MOST_VALUES = 4
"""Plain values in a finding."""
_LEAST_ROWS = 5
"""Numbers by name from which on they are taken for a list; fewer are rather the fields of one thing."""
_KEY = "of"
"""Heading of what the members of an object are of."""


def finding(answer: Answer) -> str:
    """Return what an answer comes to, as far as its form tells."""
    tables = [part for part in parts(answer) if isinstance(part, Table)]
    of = f" of {len(tables[0].rows) + tables[0].more:,}" if tables else ""
    for name, value in answer.items():
        if isinstance(value, list) and all(isinstance(each, str) for each in value):
            return f"{spoken(name)}: {listed(value) or 'none'} ({len(value):,}{of})"
    if tables and tables[0].rows:
        first = zip(tables[0].columns, tables[0].rows[0], strict=True)
        row = ", ".join(f"{spoken(name)} {shown(each)}" for name, each in list(first)[:_MOST_VALUES])
        return f"{tables[0].title.partition(',')[0]}: the first{of} is {row}"
    plain = [f"{spoken(name)} {shown(each)}" for name, each in answer.items() if is_plain(each)]
    return ", ".join(plain[:_MOST_VALUES]) or "the answer is empty"


def parts(answer: Answer, covered: Sequence[str] = ()) -> Iterator[Shown]:
    """Yield what is to be shown of the fields of an answer that are not `covered`: lists first, plain values last."""
    rest = {name: each for name, each in answer.items() if name not in covered}
    for name, each in rest.items():
        if not is_plain(each):
            yield from _nested(name, each, answer)
    plain = {name: each for name, each in rest.items() if is_plain(each)}
    if plain:
        yield Facts("", plain)


def is_plain(value: Any) -> bool:
    """Return whether a JSON value is shown in one place: a scalar, a list of scalars, or nothing."""
    if isinstance(value, Mapping):
        return not value
    return not isinstance(value, list) or not any(isinstance(each, Mapping | list) for each in value)


def _nested(name: str, value: Any, answer: Answer) -> Iterator[Shown]:
    if isinstance(value, Mapping):
        yield from _object(name, value, answer)
    elif all(isinstance(each, Mapping) for each in value):
        yield _rows(name, value)
    elif (names := _names_of_square(value, answer)) is not None:
        yield _square(name, names, value)
    else:
        yield tabled(spoken(name), [_spread(index, each) for index, each in enumerate(value)], [""])


def _object(name: str, value: Mapping[str, Any], answer: Answer) -> Iterator[Shown]:
    if all(isinstance(each, Mapping) for each in value.values()):
        yield _rows(name, [{_KEY: key, **each} for key, each in value.items()])
    elif len(value) >= _LEAST_ROWS and all(map(_is_number, value.values())):
        yield _rows(name, [{_KEY: key, "value": each} for key, each in value.items()])
    else:
        yield Facts(spoken(name), {key: each for key, each in value.items() if is_plain(each)})
        for key, each in value.items():
            if not is_plain(each):
                yield from _nested(f"{name} {key}", each, answer)


def _rows(name: str, rows: Sequence[Row]) -> Table:
    names = list(_naming(rows))
    ranked, how = _ranked(rows, names[0] if names else "")
    flags = [each for each in _booleans(rows) if each not in names]
    return tabled(spoken(name) + how, ranked, [*names, *flags])


def _naming(rows: Sequence[Row]) -> Iterator[str]:
    """Yield the field that names the rows, if there is one: a known one, or the first whose values are all text."""
    texts = [name for name in rows[0] if all(isinstance(row.get(name), str) for row in rows)]
    known = [name for name in _NAMING if all(isinstance(row.get(name), str | int) for row in rows)]
    yield from ([_KEY] if _KEY in rows[0] else known or texts)[:1]


def _booleans(rows: Sequence[Row]) -> list[str]:
    return [name for name in rows[0] if all(isinstance(row.get(name), bool) for row in rows)]


def _ranked(rows: Sequence[Row], name: str) -> tuple[Sequence[Row], str]:
    """Return rows with the most important first, and how they are sorted, in words."""
    if flags := _booleans(rows):
        return sorted(rows, key=lambda row: not row[flags[0]]), f", {spoken(flags[0])} first"
    named = [row.get(name) for row in rows]
    numbers = [each for each in rows[0] if each != name and all(_is_number(row.get(each)) for row in rows)]
    if len(rows) > 1 and numbers and all(isinstance(each, str) for each in named) and named == sorted(map(str, named)):
        return sorted(rows, key=lambda row: -row[numbers[0]]), f", by {spoken(numbers[0])}"
    return rows, ""


def _names_of_square(value: Sequence[Any], answer: Answer) -> Sequence[str] | None:
    """Return the names of a square matrix's rows: the one list of as many names beside it; None if it is no square."""
    size = len(value)
    if not all(isinstance(row, list) and len(row) == size and all(map(_is_number, row)) for row in value):
        return None
    lists = [each for each in answer.values() if isinstance(each, list) and len(each) == size and is_plain(each)]
    names = [each for each in lists if all(isinstance(name, str) for name in each)]
    return names[0] if len(names) == 1 else [str(index) for index in range(size)]


def _square(name: str, names: Sequence[str], value: Sequence[Sequence[float]]) -> HeatMap:
    kept = [row[:MOST_ROWS] for row in value[:MOST_ROWS]]
    flat = [each for row in kept for each in row]
    low, high = min(flat), max(flat)
    if low < 0 < high:
        high = max(high, -low)
        low = -high
    return HeatMap(spoken(name), names[:MOST_ROWS], kept, low, high, len(value) - len(kept))


def _spread(index: int, value: Any) -> Row:
    """Return an element of a list of lists as a row, with a column for each of its own elements."""
    elements = value if isinstance(value, list) else [value]
    return {"": index, **{str(column): each for column, each in enumerate(elements)}}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
