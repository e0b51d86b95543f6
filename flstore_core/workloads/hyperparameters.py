"""What recorded hyperparameters had to do with progress: variance explained, rank correlation, the best setting seen.

The correlation ratio η² is Fisher 1925 and the rank correlation Spearman 1904; with the round number held fixed it is
Kendall's partial one (1942), as progress fades with time whatever is set. Nothing here tells cause from coincidence.
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
from flstore_core.workloads import Context, Needs, Partial, Pattern, RangeParams, Result, RoundIndex, round_range
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.methods.rank_correlation import partial_correlation, rank_correlation
from flstore_core.workloads.shared.metric_rows import round_metric

_LEAST = 2


@dataclass(frozen=True)
class HyperparametersParams(RangeParams):
    """What counts as progress."""

    metric: str = "loss"
    """The metric whose change from one round to the next is progress: the round's own, or else its clients' mean by
    num_examples."""
    better: Literal["higher", "lower"] = "lower"
    """Whether high or low values of the metric are good."""
    relative: bool = True
    """Whether progress is a share of the value before it, so that early rounds do not outweigh the rest."""
    least_rounds: Annotated[int, Ge(1), Le(10_000)] = 1
    """Rounds that a setting must have been used in to be called the best."""


@dataclass(frozen=True)
class ValueEffect(Result):
    """Progress under one value of a hyperparameter."""

    value: str
    """The value, as JSON."""
    rounds: int
    """Rounds with it."""
    progress: float
    """Their mean progress."""
    standard_error: float | None
    """Of that mean; null for a single round."""


@dataclass(frozen=True)
class Effect(Result):
    """What one hyperparameter had to do with progress."""

    name: str
    """The hyperparameter."""
    explained: float
    """η²: share of the variance of progress between its values, 0 to 1; 0 if it never changed."""
    correlation: float | None
    """Spearman's rank correlation with progress; null unless its values are numbers and both vary."""
    correlation_at_fixed_round: float | None
    """The same with the round number held fixed; null also where one follows from the round number."""
    values: list[ValueEffect]
    """Its values, the one with the greatest progress first."""


@dataclass(frozen=True)
class Setting(Result):
    """All hyperparameters together."""

    hyperparameters: dict[str, Any]
    """Their values."""
    rounds: list[int]
    """Rounds with that setting."""
    progress: float
    """Their mean progress."""


@dataclass(frozen=True)
class HyperparametersResult(Result):
    """What hyperparameters had to do with progress."""

    rounds: list[int]
    """Rounds with hyperparameters, whose progress is known."""
    progress: list[float]
    """Progress in each: how much better the metric was than in the round before."""
    effects: list[Effect]
    """All recorded hyperparameters, the one that explains most first."""
    best: Setting | None
    """The setting with the greatest mean progress; null where none was used in `least_rounds` rounds."""


@dataclass(frozen=True)
class _Step:
    round: int
    progress: float
    setting: Mapping[str, Any]


class Hyperparameters:
    """What each recorded hyperparameter had to do with progress, and the best setting seen."""

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
        steps = _steps([data.record for data in context.rounds], params)
        if len(steps) < _LEAST:
            raise NotEnoughData(
                f"{len(steps)} round(s) have hyperparameters, and {params.metric!r} in them and in the round before; "
                f"at least {_LEAST} are needed"
            )
        names = sorted({name for step in steps for name in step.setting})
        effects = [_effect(name, [step for step in steps if name in step.setting]) for name in names]
        return HyperparametersResult(
            rounds=[step.round for step in steps],
            progress=[step.progress for step in steps],
            effects=sorted(effects, key=lambda effect: -effect.explained),
            best=_best(steps, params.least_rounds),
        )


def _steps(records: Sequence[Round], params: HyperparametersParams) -> list[_Step]:
    sign = 1.0 if params.better == "higher" else -1.0
    known = [(record, value) for record in records if (value := round_metric(record, params.metric)) is not None]
    found = []
    for (_, before), (record, after) in pairwise(known):
        if record.hyperparameters:
            scale = max(abs(before), 1e-12) if params.relative else 1.0
            found.append(_Step(record.number, sign * (after - before) / scale, record.hyperparameters))
    return found


def _effect(name: str, steps: Sequence[_Step]) -> Effect:
    progress = np.array([step.progress for step in steps])
    groups: dict[str, list[float]] = {}
    for step in steps:
        groups.setdefault(_as_json(step.setting[name]), []).append(step.progress)
    between = sum(len(group) * (float(np.mean(group)) - progress.mean()) ** 2 for group in groups.values())
    total = float(((progress - progress.mean()) ** 2).sum())
    plain, fixed = _correlations(name, steps, progress)
    values = [_value_effect(value, np.array(group)) for value, group in groups.items()]
    return Effect(
        name=name,
        explained=min(float(between / total), 1.0) if total > 0 and len(groups) > 1 else 0.0,
        correlation=plain,
        correlation_at_fixed_round=fixed,
        values=sorted(values, key=lambda value: (-value.progress, value.value)),
    )


def _correlations(name: str, steps: Sequence[_Step], progress: Float64) -> tuple[float | None, float | None]:
    if not all(_is_number(step.setting[name]) for step in steps):
        return None, None
    values = np.array([float(step.setting[name]) for step in steps])
    time = np.array([float(step.round) for step in steps])
    plain = rank_correlation(values, progress)
    return plain, partial_correlation(plain, rank_correlation(values, time), rank_correlation(progress, time))


def _value_effect(value: str, progress: Float64) -> ValueEffect:
    count = len(progress)
    error = float(progress.std(ddof=1)) / math.sqrt(count) if count > 1 else None
    return ValueEffect(value, count, float(progress.mean()), error)


def _best(steps: Sequence[_Step], least: int) -> Setting | None:
    groups: dict[str, list[_Step]] = {}
    for step in steps:
        groups.setdefault(_as_json(step.setting), []).append(step)
    settings = [
        Setting(dict(group[0].setting), [step.round for step in group], float(np.mean([s.progress for s in group])))
        for group in groups.values()
        if len(group) >= least
    ]
    return max(settings, key=lambda setting: setting.progress, default=None)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _as_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=dict)
