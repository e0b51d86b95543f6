"""Tables in Markdown, and means over seeds."""

from collections.abc import Iterable, Sequence
from statistics import mean
from typing import Any

from loadgen.experiments.base import Outcome

WHOLE = 1000.0
"""Figures of at least this size are shown without decimals."""


def table(headings: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table whose first column is text and whose others are figures."""
    lines = [headings, ["---", *["---:"] * (len(headings) - 1)], *([_shown(cell) for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def averaged(outcomes: Iterable[Outcome], name: str, **values: Any) -> float:
    """Return the mean of the measurement `name` over the outcomes that have all these `values`."""
    return mean(float(each.measured[name]) for each in outcomes if values.items() <= dict(each.values).items())


def varied(outcomes: Iterable[Outcome], name: str) -> list[Any]:
    """Return the values that `name` was varied over, in order."""
    return list(dict.fromkeys(each.values[name] for each in outcomes))


def _shown(cell: object) -> str:
    if not isinstance(cell, float):
        return str(cell)
    return f"{cell:.3g}" if abs(cell) < WHOLE else f"{cell:.0f}"
