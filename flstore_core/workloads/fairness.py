"""How evenly a training serves its clients: spread of their performance, and balance of their participation.

Uniformity of performance as fairness is Li et al. 2020, Fair Resource Allocation in Federated Learning (ICLR); the
index is Jain, Chiu and Hawe 1984.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from flstore_core.errors import NotEnoughData, unknown
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import Row, metric_names, rows_of


@dataclass(frozen=True)
class FairnessParams(RangeParams):
    """What counts as performance."""

    metric: str = "accuracy"
    """The metric compared between clients; each client's newest value counts."""
    better: Literal["higher", "lower"] = "higher"
    """Whether high or low values are good, which says where the worst decile is."""


@dataclass(frozen=True)
class FairnessResult(Result):
    """How evenly clients fare."""

    rounds: list[int]
    """The rounds looked at."""
    clients: int
    """Clients that took part in them."""
    reporting: int
    """Clients that reported the metric."""
    mean: float
    """Mean of the clients' newest values."""
    std: float
    """Their standard deviation, of the population."""
    jain: float
    """Jain's index of the values: 1 all alike, 1/n one has it all. All zeros are alike."""
    worst_decile: float
    """Mean of the worst tenth of the clients, one at the least."""
    best_decile: float
    """Mean of the best tenth of the clients, one at the least."""
    participation_jain: float
    """Jain's index of how often clients took part."""
    participations: dict[str, int]
    """How often each client took part."""


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
        table = rows_of(data.record for data in context.rounds)
        if not table:
            raise NotEnoughData("nobody took part in these rounds")
        newest = _newest(table, params.metric)
        values = np.sort(list(newest.values()))[:: 1 if params.better == "higher" else -1]
        tenth = -(-len(values) // 10)
        times = Counter(row.client for row in table)
        return FairnessResult(
            rounds=[data.record.number for data in context.rounds],
            clients=len(times),
            reporting=len(values),
            mean=float(values.mean()),
            std=float(values.std()),
            jain=jain(values),
            worst_decile=float(values[:tenth].mean()),
            best_decile=float(values[-tenth:].mean()),
            participation_jain=jain(np.array(list(times.values()), np.float64)),
            participations=dict(sorted(times.items())),
        )


def jain(values: Float64) -> float:
    """Return Jain's fairness index, (Σx)² / (n Σx²); 1 where all values are 0."""
    scaled = values / max(float(np.abs(values).max()), 1e-300)
    squares = float((scaled**2).sum())
    return float(scaled.sum()) ** 2 / (len(values) * squares) if squares else 1.0


def _newest(table: Sequence[Row], metric: str) -> dict[str, float]:
    """Return each client's newest value of `metric`; raise `NotFound` if nobody has one."""
    found = {row.client: value for row in table if (value := row.number(metric)) is not None}
    if not found:
        raise unknown("numeric metric", metric, metric_names(table))
    return found


FairnessOverRounds = Fairness  # the name in older installations; removed with them
