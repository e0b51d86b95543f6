"""Clients' metrics over rounds as rows, one for each participation, and a round's own metric."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.records import Member, Round
from flstore_core.workloads import fedavg_weights

Scalar = str | float | bool | None
_SCALARS = (str, int, float, bool)
_NUMBERS = (float, int)
_LARGEST = 1e100
"""Largest magnitude that workloads compute with: squares of such numbers, and sums of squares, are finite."""


@dataclass(frozen=True)
class Row:
    """The metrics that one client reported in one round."""

    round: int
    client: str
    metrics: Mapping[str, Any]
    weight: float | None = None
    """The client's weight in FedAvg; None if it gave none."""

    def value(self, name: str) -> Scalar:
        """Return a metric, or the row's `round` or `client`; None if it is missing or not a scalar."""
        if name == "round":
            return self.round
        if name == "client":
            return self.client
        value = self.metrics.get(name)
        return value if isinstance(value, _SCALARS) else None

    def number(self, name: str) -> float | None:
        """Return a metric as a float; None if it is missing, not a number, not finite or too large for a float."""
        value = self.value(name)
        if isinstance(value, bool) or not isinstance(value, _NUMBERS) or not abs(value) <= sys.float_info.max:
            return None
        return float(value)


def rows_of(rounds: Iterable[Round]) -> list[Row]:
    """Return the participations in `rounds`, by round and then client."""
    return [
        Row(record.number, member.client, member.metrics, member.weight)
        for record in rounds
        for member in record.members
    ]


def metric_names(rows: Iterable[Row]) -> list[str]:
    """Return the names of all metrics in the rows, sorted."""
    return sorted({name for row in rows for name in row.metrics})


@dataclass(frozen=True, slots=True)
class RoundMetric:
    """A metric of a round."""

    value: float
    averaged: Sequence[Member] = ()
    """The members over whom it is the weighted mean; none where the round itself has it."""


def round_metric(record: Round, metric: str) -> RoundMetric | None:
    """Return a round's own metric, or the mean of its clients' by their weights; None if neither has it."""
    own = Row(record.number, "", record.metrics).number(metric)
    if own is not None:
        return RoundMetric(own)
    reported = [
        (value, member)
        for row, member in zip(rows_of([record]), record.members, strict=True)
        if (value := row.number(metric)) is not None
    ]
    if not reported:
        return None
    weights = fedavg_weights([member.num_examples for _, member in reported]).tolist()
    mean = sum(value * weight for (value, _), weight in zip(reported, weights, strict=True))
    return RoundMetric(mean, [member for _, member in reported])


def check_magnitudes(metric: str, values: Iterable[float]) -> None:
    """Check that a metric's values can be computed with.

    Raises:
        InvalidParameters: if one is so large that squares and sums of such values are not finite.
    """
    largest = max(map(abs, values), default=0.0)
    if not largest <= _LARGEST:
        raise InvalidParameters(
            f"metric {metric!r} reaches {largest:.3g} in size, which is too large to compute with; "
            f"name a metric whose values lie within ±{_LARGEST:.0e}"
        )
