"""How recorded hyperparameters relate to progress: variance explained, rank correlation, and the best setting so far.

Progress of a round is how much better a metric became since the round before it that has the metric. Two measures
relate each hyperparameter to it:

- the correlation ratio η² (Fisher 1925): the share of the variance of progress that lies between the values of the
  hyperparameter. For progress 1, 1 under one value and 3, 3 under another it is 1; for 1, 3 and 1, 3 it is 0.
- Spearman's rank correlation (1904). Progress fades over a training whatever is set, so it is also given with the round
  number held fixed, as Kendall's partial correlation (1942).

Neither separates cause from coincidence.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.records import Round
from flstore_core.workloads import (
    Context,
    Needs,
    Partial,
    Pattern,
    RangeParams,
    Result,
    RoundIndex,
    Weighted,
    round_range,
    unweighted,
)
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.methods.rank_correlation import partial_correlation, rank_correlation
from flstore_core.workloads.shared.metric_rows import RoundMetric, Row, check_magnitudes, round_metric

_LEAST_STEPS = 2
"""Rounds with progress that a comparison needs."""


@dataclass(frozen=True)
class HyperparametersParams(RangeParams):
    """What counts as progress."""

    metric: str = "loss"
    """Name of the metric whose change from round to round is progress. Where a round reports none itself, the mean over
    its clients, by their weights, is its value."""
    better: Literal["higher", "lower"] = "lower"
    """Whether higher or lower values of the metric are better."""
    relative: bool = True
    """Whether progress is divided by the value before it, so that early rounds do not outweigh later ones."""
    least_rounds: Annotated[int, Ge(1), Le(10_000)] = 1
    """Number of rounds that a setting must have been used in to be considered for `best`."""


@dataclass(frozen=True)
class ValueEffect(Result):
    """Progress under one value of a hyperparameter."""

    value: str
    """The value, as JSON."""
    rounds: int
    """Number of rounds with this value."""
    progress: float
    """Mean progress of these rounds."""
    standard_error: float | None
    """Standard error of the mean progress; null for a single round."""


@dataclass(frozen=True)
class Effect(Result):
    """How one hyperparameter relates to progress."""

    name: str
    """Name of the hyperparameter."""
    explained: float
    """Correlation ratio η², 0 to 1: share of the variance of progress that lies between the hyperparameter's values; 0
    if it never changed."""
    correlation: float | None
    """Spearman's rank correlation with progress, -1 to 1; null unless all values are numbers, and values and progress
    both vary."""
    correlation_at_fixed_round: float | None
    """Partial rank correlation with the round number held fixed, -1 to 1; null also where values or progress follow
    from the round number."""
    values: list[ValueEffect]
    """Progress by value, greatest mean progress first."""


@dataclass(frozen=True)
class Setting(Result):
    """A combination of values of all hyperparameters."""

    hyperparameters: dict[str, Any]
    """Value of each hyperparameter."""
    rounds: list[int]
    """Rounds with this combination, ascending."""
    progress: float
    """Mean progress of these rounds."""


@dataclass(frozen=True)
class HyperparametersResult(Weighted):
    """How hyperparameters relate to progress."""

    rounds: list[int]
    """Rounds that have hyperparameters and progress, ascending."""
    progress: list[float]
    """Progress of each of `rounds`: how much better the metric was than in the round before it."""
    effects: list[Effect]
    """Every recorded hyperparameter, the one with the greatest `explained` first."""
    best: Setting | None
    """The combination with the greatest mean progress; null if none was used in `least_rounds` rounds."""


@dataclass(frozen=True)
class _Step:
    """A round's progress, and the hyperparameters it was made with."""

    round: int
    progress: float
    setting: Mapping[str, Any]


class Hyperparameters:
    """How each recorded hyperparameter relates to progress, and the best setting so far."""

    name = "hyperparameters"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "Fisher 1925, Statistical Methods; Spearman 1904; Kendall 1942, Partial Rank Correlation, Biometrika"
    params = HyperparametersParams
    result = HyperparametersResult

    def select(self, params: HyperparametersParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(
        self, partials: Sequence[Partial], context: Context, params: HyperparametersParams
    ) -> HyperparametersResult:
        history = _history([data.record for data in context.rounds], params.metric)
        steps = _steps(history, params)
        names = sorted({name for step in steps for name in step.setting})
        effects = [_effect(name, [step for step in steps if name in step.setting]) for name in names]
        return HyperparametersResult(
            rounds=[step.round for step in steps],
            progress=[step.progress for step in steps],
            effects=sorted(effects, key=lambda effect: -effect.explained),
            best=_best(steps, params.least_rounds),
            unweighted=unweighted(*(reported.averaged for _, reported in history)),
        )


def _history(records: Sequence[Round], metric: str) -> list[tuple[Round, RoundMetric]]:
    """Return the rounds that have the metric, with it; raise `InvalidParameters` if its values are too large."""
    history = [(record, found) for record in records if (found := round_metric(record, metric)) is not None]
    check_magnitudes(metric, (found.value for _, found in history))
    return history


def _steps(history: Sequence[tuple[Round, RoundMetric]], params: HyperparametersParams) -> list[_Step]:
    """Return every round that has hyperparameters and progress, ascending.

    Raises:
        NotEnoughData: if there are fewer than two.
    """
    steps = [
        _Step(record.number, _progress(before.value, after.value, params), record.hyperparameters)
        for (_, before), (record, after) in pairwise(history)
        if record.hyperparameters
    ]
    if len(steps) < _LEAST_STEPS:
        raise NotEnoughData(
            f"{len(steps)} round(s) have hyperparameters, and {params.metric!r} both in them and in a round before; "
            f"at least {_LEAST_STEPS} are needed: name another metric, or commit rounds with hyperparameters"
        )
    return steps


def _progress(before: float, after: float, params: HyperparametersParams) -> float:
    gain = after - before if params.better == "higher" else before - after
    return gain / max(abs(before), 1e-12) if params.relative else gain


def _effect(name: str, steps: Sequence[_Step]) -> Effect:
    progress_by_value: dict[str, list[float]] = {}
    for step in steps:
        progress_by_value.setdefault(_as_json(step.setting[name]), []).append(step.progress)
    correlation, at_fixed_round = _correlations(name, steps)
    values = [_value_effect(value, np.array(progress)) for value, progress in progress_by_value.items()]
    return Effect(
        name=name,
        explained=correlation_ratio([np.array(progress) for progress in progress_by_value.values()]),
        correlation=correlation,
        correlation_at_fixed_round=at_fixed_round,
        values=sorted(values, key=lambda value: (-value.progress, value.value)),
    )


def correlation_ratio(groups: Sequence[Float64]) -> float:
    """Return η², 0 to 1: the share of the values' variance that lies between groups; 0 if nothing varies."""
    everything = np.concatenate(groups)
    between = sum(len(group) * (group.mean() - everything.mean()) ** 2 for group in groups)
    total = float(((everything - everything.mean()) ** 2).sum())
    return min(float(between / total), 1.0) if total > 0 and len(groups) > 1 else 0.0


def _correlations(name: str, steps: Sequence[_Step]) -> tuple[float | None, float | None]:
    """Return the rank correlation of a hyperparameter with progress, plain and with the round number held fixed."""
    values = [Row(step.round, "", step.setting).number(name) for step in steps]
    if any(value is None for value in values):
        return None, None
    x, y, time = np.array([(value, step.progress, step.round) for value, step in zip(values, steps, strict=True)]).T
    correlation = rank_correlation(x, y)
    return correlation, partial_correlation(correlation, rank_correlation(x, time), rank_correlation(y, time))


def _value_effect(value: str, progress: Float64) -> ValueEffect:
    rounds = len(progress)
    error = float(progress.std(ddof=1)) / math.sqrt(rounds) if rounds > 1 else None
    return ValueEffect(value, rounds, float(progress.mean()), error)


def _best(steps: Sequence[_Step], least_rounds: int) -> Setting | None:
    by_setting: dict[str, list[_Step]] = {}
    for step in steps:
        by_setting.setdefault(_as_json(step.setting), []).append(step)
    settings = [_setting(group) for group in by_setting.values() if len(group) >= least_rounds]
    return max(settings, key=lambda setting: setting.progress, default=None)


def _setting(steps: Sequence[_Step]) -> Setting:
    mean = float(np.mean([step.progress for step in steps]))
    return Setting(dict(steps[0].setting), [step.round for step in steps], mean)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=dict)
