"""One measured figure beside its target."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, TypeVar

T = TypeVar("T")


@dataclass(frozen=True)
class Row:
    """A figure, what it should be, and in which direction better lies."""

    name: str
    value: float
    unit: str
    target: float
    better: Literal["lower", "higher"] = "lower"
    note: str = ""

    @property
    def met(self) -> bool:
        return self.value <= self.target if self.better == "lower" else self.value >= self.target

    def to_json(self) -> dict[str, object]:
        return {
            "name": self.name,
            "value": round(self.value, 4),
            "unit": self.unit,
            "target": f"{'<=' if self.better == 'lower' else '>='} {self.target:g}",
            "met": self.met,
            "note": self.note,
        }


def timed(function: Callable[[], T]) -> tuple[float, T]:
    """Return how many seconds one call takes, and what it returns."""
    started = time.perf_counter()
    returned = function()
    return time.perf_counter() - started, returned


def seconds(function: Callable[[], object]) -> float:
    """Return how long one call takes."""
    return timed(function)[0]


def median_seconds(function: Callable[[], object], times: int, warm_up: int = 1) -> float:
    """Return the median duration of `times` calls, after `warm_up` that do not count."""
    for _ in range(warm_up):
        function()
    return statistics.median(seconds(function) for _ in range(times))
