"""Values and counts in words, alike wherever an answer is shown."""

from collections.abc import Mapping, Sequence
from typing import Any

MOST_ELEMENTS = 40
"""Elements of a list of plain values that are written out; how many more there are is said."""
_MOST_NAMES = 6
"""Names in a sentence; how many more there are is said."""


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
            return _elements(value)
        case Mapping():
            return ", ".join(f"{name} {shown(each)}" for name, each in value.items())
    return str(value)


def percent(rate: float | None) -> str:
    """Return a rate between 0 and 1 as `93 %`."""
    return "-" if rate is None else f"{100 * rate:.0f} %"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return a count with its noun: `1 client`, `1,000 clients`."""
    return f"{count:,} {noun if count == 1 else plural or noun + 's'}"


def listed(names: Sequence[Any], most: int = _MOST_NAMES) -> str:
    """Return names for a sentence: `a, b, c and 17 more`."""
    if len(names) <= most:
        return ", ".join(map(str, names))
    return f"{', '.join(map(str, names[:most]))} and {len(names) - most:,} more"


def spans(numbers: Sequence[int]) -> str:
    """Return ascending numbers with their runs drawn together: `0-4, 7`."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1][1:] = [number]
        else:
            runs.append([number])
    return ", ".join("-".join(map(str, run)) for run in runs)


def spoken(name: str) -> str:
    """Return a field's name as a heading: `alignment score`."""
    return name.replace("_", " ")


def _elements(values: Sequence[Any]) -> str:
    if len(values) > 3 and all(type(each) is int for each in values) and list(values) == sorted(values):
        return spans(values)
    text = ", ".join(map(shown, values[:MOST_ELEMENTS]))
    return text if len(values) <= MOST_ELEMENTS else f"{text} and {len(values) - MOST_ELEMENTS:,} more"
