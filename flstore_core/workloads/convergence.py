"""Whether a training still gets anywhere: plateau, divergence and rounds to a target, from its loss history.

The trend is the median of all pairwise slopes (Theil 1950, Sen 1968), which a few odd rounds do not move.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.metric_rows import round_metric

LEAST = 3


@dataclass(frozen=True)
class ConvergenceParams(RangeParams):
    """What is watched, and what counts as progress."""

    metric: str = "loss"
    """The round's metric; where a round has none, the mean of its clients' by num_examples."""
    better: Literal["lower", "higher"] = "lower"
    """Whether the metric is to fall or to rise."""
    window: Annotated[int, Ge(LEAST), Le(10_000)] = 10
    """Newest rounds that the trend is taken over."""
    tolerance: Annotated[float, Ge(0), Le(1)] = 0.005
    """Change a round, relative to the usual value in the window, below which a training stands still."""
    target: float | None = None
    """Value to reach."""


@dataclass(frozen=True)
class ConvergenceResult(Result):
    """Where a training stands."""

    state: Literal["improving", "plateau", "diverging"]
    """Whether the trend is for the better, within the tolerance, or for the worse."""
    slope: float
    """Change a round over the window."""
    newest: float
    """The newest value."""
    best: float
    """The best value."""
    best_round: int
    """The round of the best value."""
    rounds_to_target: int | None
    """Rounds until the target at the present slope, 0 if it was reached; null if none is given or it is not neared."""
    rounds: list[int]
    """Rounds that have the metric."""
    values: list[float]
    """Its value in each."""


class Convergence:
    """Whether a training improves, stands still or gets worse, and when it reaches a target."""

    name = "convergence"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "Theil 1950; Sen 1968, Estimates of the Regression Coefficient Based on Kendall's Tau, JASA"
    params = ConvergenceParams
    result = ConvergenceResult

    def select(self, params: ConvergenceParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: ConvergenceParams) -> ConvergenceResult:
        found = [(data.record.number, round_metric(data.record, params.metric)) for data in context.rounds]
        history = {number: value for number, value in found if value is not None}
        if len(history) < LEAST:
            raise NotEnoughData(f"{len(history)} round(s) have {params.metric!r}; at least {LEAST} are needed")
        numbers, values = np.array(list(history), np.float64), np.array(list(history.values()))
        sign = 1.0 if params.better == "lower" else -1.0
        slope = theil_sen(numbers[-params.window :], values[-params.window :])
        best = int((sign * values).argmin())
        return ConvergenceResult(
            state=_state(sign * slope, values[-params.window :], params.tolerance),
            slope=slope,
            newest=float(values[-1]),
            best=float(values[best]),
            best_round=int(numbers[best]),
            rounds_to_target=_rounds_to(params.target, sign, float(values[-1]), float(values[best]), slope),
            rounds=list(history),
            values=values.tolist(),
        )


def theil_sen(places: Float64, values: Float64) -> float:
    """Return the median slope over all pairs."""
    rows, columns = np.triu_indices(len(places), 1)
    return float(np.median((values[columns] - values[rows]) / (places[columns] - places[rows])))


def _state(worse: float, values: Float64, tolerance: float) -> Literal["improving", "plateau", "diverging"]:
    if abs(worse) <= tolerance * float(np.median(np.abs(values))):
        return "plateau"
    return "diverging" if worse > 0 else "improving"


def _rounds_to(target: float | None, sign: float, newest: float, best: float, slope: float) -> int | None:
    if target is None:
        return None
    if sign * (best - target) <= 0:
        return 0
    ahead = (target - newest) / slope if slope else math.inf
    return math.ceil(ahead) if 0 < ahead < 1e9 else None


JudgeConvergence = Convergence  # the name in older installations; removed with them
