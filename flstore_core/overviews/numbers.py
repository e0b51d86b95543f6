"""What a committed round says in numbers, in a few bytes a client.

A record of a thousand clients is a third of a megabyte of JSON, and takes milliseconds to read. What overviews need
is a number for each client and metric. Example, of a round with two clients, one of which sent no loss:

    clients   [b"a", b"b"]
    values    {"loss": [0.2, nan], "num_examples": [64, 32]}
    spreads   {"loss": [0.2, 0.2, …, 1], "num_examples": [32, 35.2, …, 2]}
"""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.ids import ClientId
from flstore_core.records import Metrics, Round

Float64 = NDArray[np.float64]

QUANTILES = {"low": 0.0, "p10": 0.1, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p90": 0.9, "high": 1.0}
SPREAD = (*QUANTILES, "mean", "count")
"""What is kept of a metric's values in a round: quantiles (type 7 of Hyndman and Fan 1996), mean and number."""

MOST_METRICS = 32
"""Most metrics of a round that are kept: those that most clients sent. A client may send thousands of names."""


@dataclass(frozen=True, slots=True)
class RoundNumbers:
    """The numbers of one committed round."""

    number: int
    committed_at: float
    """Seconds since the epoch."""
    clients: NDArray[np.bytes_]
    """Names of its n clients, as the store keeps them, ascending."""
    values: Mapping[str, Float64]
    """By metric, shape (n,), in the order of `clients`; NaN where a client sent no finite number."""
    spreads: Mapping[str, Float64]
    """By metric, shape (9,), in the order of `SPREAD`."""
    metrics: Mapping[str, float]
    """Those with which the round was committed, as far as they are numbers."""

    @classmethod
    def of(cls, record: Round) -> "RoundNumbers":
        """Return the numbers of a committed round's record."""
        members = sorted(record.members, key=attrgetter("client"))
        sent = [_finite(member.metrics) for member in members]
        values = {name: np.array([each.get(name, math.nan) for each in sent]) for name in _most_sent(sent)}
        return cls(
            record.number,
            record.committed_at or 0.0,
            np.array([member.client for member in members], dtype=np.bytes_),
            values,
            {name: _spread(each) for name, each in values.items()},
            dict(list(_finite(record.metrics).items())[:MOST_METRICS]),
        )

    @property
    def nbytes(self) -> int:
        """Size in memory, about."""
        arrays = (self.clients, *self.values.values(), *self.spreads.values())
        return 512 + sum(array.nbytes + 128 for array in arrays) + 128 * len(self.metrics)

    def find(self, clients: NDArray[np.bytes_]) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Return which of some clients took part, by their places among them, and the places that they have here."""
        if not len(self.clients):
            return np.zeros(0, np.intp), np.zeros(0, np.intp)
        places = np.searchsorted(self.clients, clients).clip(max=len(self.clients) - 1)
        took_part = np.flatnonzero(self.clients[places] == clients)
        return took_part, places[took_part]


def names_of(rounds: Sequence[RoundNumbers]) -> list[str]:
    """Return the names of the metrics that clients sent in any of the rounds, ascending."""
    return sorted({name for each in rounds for name in each.values})


def as_names(clients: Sequence[ClientId]) -> NDArray[np.bytes_]:
    """Return names in the form of `RoundNumbers.clients`."""
    return np.array(clients, dtype=np.bytes_)


def listed(values: Float64) -> list[Any]:
    """Return numbers as JSON has them: null in the place of NaN."""
    return [None if value != value else value for value in values.tolist()]


def _finite(metrics: Metrics) -> dict[str, float]:
    return {name: float(value) for name, value in metrics.items() if _is_finite(value)}


def _is_finite(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return abs(value) < 1e300  # neither NaN nor infinite, nor a whole number of thousands of digits


def _most_sent(sent: Sequence[Mapping[str, float]]) -> list[str]:
    count = Counter(name for each in sent for name in each)
    return sorted(sorted(count, key=lambda name: (-count[name], name))[:MOST_METRICS])


def _spread(values: Float64) -> Float64:
    present = values[~np.isnan(values)]
    return np.array([*np.quantile(present, [*QUANTILES.values()]), present.mean(), len(present)])
