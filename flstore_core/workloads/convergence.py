"""Whether a training still improves, and when it reaches a target, from the history of one metric.

The trend is the Theil-Sen slope: the median of the slopes between all pairs of rounds (Theil 1950, Sen 1968). A few
outlying rounds do not move it. For the losses 5, 4, 9, 2 of rounds 0 to 3, the six slopes are -1, 5, -7 (neighbours),
2, -1 (two rounds apart) and -1 (three rounds apart). Their median is -1 a round, although one round was far off. With a
target of 0, the newest loss of 2 needs 2 further rounds at that slope.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.workloads import (
    Context,
    Needs,
    Partial,
    Pattern,
    RangeParams,
    RoundData,
    RoundIndex,
    Weighted,
    round_range,
    unweighted,
)
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import RoundMetric, check_magnitudes, round_metric

LEAST_ROUNDS = 3
"""Rounds with the metric that a trend needs."""
_FARTHEST = 1e9
"""Rounds from which on a target counts as never reached."""

State = Literal["improving", "plateau", "diverging"]


@dataclass(frozen=True)
class ConvergenceParams(RangeParams):
    """Which metric is followed, and what counts as progress."""

    metric: str = "loss"
    """Name of the metric. Where a round reports none itself, the mean over its clients, by their weights, is its
    value."""
    better: Literal["lower", "higher"] = "lower"
    """Whether lower or higher values of the metric are better."""
    window: Annotated[int, Ge(LEAST_ROUNDS), Le(10_000)] = 10
    """Number of newest rounds from which the trend is computed."""
    tolerance: Annotated[float, Ge(0), Le(1)] = 0.005
    """Largest change per round that counts as a plateau, as a share of the median magnitude of the window's values."""
    target: float | None = None
    """Value of the metric to reach."""


@dataclass(frozen=True)
class ConvergenceResult(Weighted):
    """The state of a training, by one metric."""

    state: State
    """`improving` or `diverging` by the sign of the trend; `plateau` if the trend is within the tolerance."""
    slope: float
    """Change of the metric per round, over the window."""
    newest: float
    """Value in the newest round."""
    best: float
    """Best value of all rounds."""
    best_round: int
    """The round with the best value; the first of several."""
    rounds_to_target: int | None
    """Further rounds until the target is reached at the present slope; 0 if it was reached. Null without a target, or
    if the slope does not lead to it."""
    rounds: list[int]
    """The rounds that have the metric, ascending."""
    values: list[float]
    """The metric in each of `rounds`."""


class Convergence:
    """Whether a training improves, stagnates or diverges, and when it reaches a target."""

    name = "convergence"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "Theil 1950; Sen 1968, Estimates of the Regression Coefficient Based on Kendall's Tau, JASA"
    params = ConvergenceParams
    result = ConvergenceResult

    def select(self, params: ConvergenceParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: ConvergenceParams) -> ConvergenceResult:
        history = _history(context.rounds, params.metric)
        numbers = np.array(list(history), np.float64)
        values = np.array([reported.value for reported in history.values()])
        slope = theil_sen(numbers[-params.window :], values[-params.window :])
        best = int(values.argmin() if params.better == "lower" else values.argmax())
        return ConvergenceResult(
            state=_state(slope, values[-params.window :], params),
            slope=slope,
            newest=float(values[-1]),
            best=float(values[best]),
            best_round=int(numbers[best]),
            rounds_to_target=_rounds_to_target(float(values[-1]), float(values[best]), slope, params),
            rounds=list(history),
            values=values.tolist(),
            unweighted=unweighted(*(reported.averaged for reported in history.values())),
        )


def theil_sen(numbers: Float64, values: Float64) -> float:
    """Return the median of the slopes between all pairs of points, by round `numbers` and `values`, both shape (n,)."""
    rows, columns = np.triu_indices(len(numbers), 1)
    return float(np.median((values[columns] - values[rows]) / (numbers[columns] - numbers[rows])))


def _history(rounds: Sequence[RoundData], metric: str) -> dict[int, RoundMetric]:
    """Return the metric by round, for the rounds that have it.

    Raises:
        NotEnoughData: if fewer than `LEAST_ROUNDS` have it.
        InvalidParameters: if its values are too large.
    """
    found = {data.record.number: round_metric(data.record, metric) for data in rounds}
    history = {number: reported for number, reported in found.items() if reported is not None}
    if len(history) < LEAST_ROUNDS:
        raise NotEnoughData(
            f"{len(history)} of {len(found)} round(s) have a numeric metric {metric!r}; "
            f"a trend needs at least {LEAST_ROUNDS}: commit more rounds, or name another metric"
        )
    check_magnitudes(metric, (reported.value for reported in history.values()))
    return history


def _state(slope: float, values: Float64, params: ConvergenceParams) -> State:
    if abs(slope) <= params.tolerance * float(np.median(np.abs(values))):
        return "plateau"
    return "improving" if (slope < 0) == (params.better == "lower") else "diverging"


def _rounds_to_target(newest: float, best: float, slope: float, params: ConvergenceParams) -> int | None:
    if params.target is None:
        return None
    if best <= params.target if params.better == "lower" else best >= params.target:
        return 0
    rounds = (params.target - newest) / slope if slope else math.inf
    return math.ceil(rounds) if 0 < rounds < _FARTHEST else None
