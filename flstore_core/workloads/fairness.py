"""How evenly a training serves its clients: the spread of their performance, and of how often they take part.

Fairness as uniform performance is Li et al. 2020, Fair Resource Allocation in Federated Learning (ICLR). The index is
Jain, Chiu and Hawe 1984: (Σx)² / (n Σx²). For accuracies 1, 2 and 3 it is 36 / (3 × 14) = 0.857; it is 1 if all clients
have the same value, and 1/n if one client has everything.
"""

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flstore_core.errors import NotEnoughData, unknown
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import Row, check_magnitudes, metric_names, rows_of


@dataclass(frozen=True)
class FairnessParams(RangeParams):
    """Which metric is compared between clients."""

    metric: str = "accuracy"
    """Name of the metric. Of each client, the newest value in the range counts."""
    better: Literal["higher", "lower"] = "higher"
    """Whether higher or lower values are better; this decides which end is the worst decile."""


@dataclass(frozen=True)
class FairnessResult(Result):
    """How evenly clients are served."""

    rounds: list[int]
    """The rounds that were read."""
    clients: int
    """Number of clients that took part in them."""
    reporting: int
    """Number of clients that reported the metric."""
    mean: float
    """Mean of the clients' newest values."""
    std: float
    """Population standard deviation of the clients' newest values."""
    jain: float
    """Jain's index of the clients' newest values: 1 if all are equal (all 0 too), 1/n if one client has everything."""
    worst_decile: float
    """Mean value of the worst tenth of the clients, rounded up to whole clients."""
    best_decile: float
    """Mean value of the best tenth of the clients, rounded up to whole clients."""
    participation_jain: float
    """Jain's index of the numbers of participations."""
    participations: dict[str, int]
    """Number of rounds that each client took part in."""


class Fairness:
    """How evenly a training serves its clients, and how evenly they take part."""

    name = "fairness"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "Li et al. 2020, Fair Resource Allocation in Federated Learning, ICLR; Jain, Chiu, Hawe 1984"
    params = FairnessParams
    result = FairnessResult

    def select(self, params: FairnessParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: FairnessParams) -> FairnessResult:
        rows = rows_of(data.record for data in context.rounds)
        if not rows:
            raise NotEnoughData("no client took part in these rounds; choose others with first and last")
        from_worst = np.sort(_newest_values(rows, params.metric))[:: 1 if params.better == "higher" else -1]
        tenth = math.ceil(len(from_worst) / 10)
        participations = Counter(row.client for row in rows)
        return FairnessResult(
            rounds=[data.record.number for data in context.rounds],
            clients=len(participations),
            reporting=len(from_worst),
            mean=float(from_worst.mean()),
            std=float(from_worst.std()),
            jain=jain(from_worst),
            worst_decile=float(from_worst[:tenth].mean()),
            best_decile=float(from_worst[-tenth:].mean()),
            participation_jain=jain(np.array(list(participations.values()), np.float64)),
            participations=dict(sorted(participations.items())),
        )


def jain(values: Float64) -> float:
    """Return Jain's fairness index of values of shape (n,), n > 0: (Σx)² / (n Σx²), or 1 if all values are 0."""
    scaled = values / max(float(np.abs(values).max()), 1e-300)
    squares = float((scaled**2).sum())
    return float(scaled.sum()) ** 2 / (len(values) * squares) if squares else 1.0


def _newest_values(rows: Sequence[Row], metric: str) -> Float64:
    """Return each client's newest value of `metric`, shape (reporting clients,).

    Raises:
        NotFound: if no client reported it as a number.
        InvalidParameters: if values are too large.
    """
    newest = {row.client: value for row in rows if (value := row.number(metric)) is not None}
    if not newest:
        raise unknown("numeric metric", metric, metric_names(rows))
    check_magnitudes(metric, newest.values())
    return np.array(list(newest.values()))
