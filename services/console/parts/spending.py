"""What requests cost, out of what `AsyncFLStore.cost` returns."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.presentation.words import spoken

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Amount:
    """Dollars here and at both baselines, which have no counterpart of ingest and commits."""

    requests: int = 0
    dollars: float = 0.0
    objstore: float = 0.0
    cache: float = 0.0

    @property
    def is_compared(self) -> bool:
        return self.objstore > 0.0

    def __add__(self, other: "Amount") -> "Amount":
        return Amount(
            self.requests + other.requests,
            self.dollars + other.dollars,
            self.objstore + other.objstore,
            self.cache + other.cache,
        )


def amount(row: Row) -> Amount:
    return Amount(row["requests"], row["dollars"], row["objstore_dollars"], row["cache_dollars"])


def summed(rows: Iterable[Row], by: Callable[[Row], str]) -> dict[str, Amount]:
    """Return the sums of rows with the same name, in the order in which the names come."""
    sums: dict[str, Amount] = {}
    for row in rows:
        sums[by(row)] = sums.get(by(row), Amount()) + amount(row)
    return sums


def by_kind(rows: Iterable[Row]) -> dict[str, Amount]:
    """Return the sums by kind of request, the dearest first."""
    sums = summed(rows, lambda row: spoken(row["kind"]))
    return dict(sorted(sums.items(), key=lambda item: -item[1].dollars))


def compared(rows: Iterable[Row]) -> Amount:
    """Return the sum over those kinds that the baselines answer too."""
    return sum((each for each in map(amount, rows) if each.is_compared), Amount())
