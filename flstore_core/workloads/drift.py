"""How a client's updates drift from the cohort's over rounds: direction and length, and where they change.

Angle and length against the cohort are what client drift is told by (Karimireddy et al. 2020, SCAFFOLD, ICML); change
points are PELT (Killick, Fearnhead, Eckley 2012, JASA) with a price by the Bayesian information criterion.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from flstore_core.workloads import (
    ClientParams,
    Context,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    client_history,
)
from flstore_core.workloads.methods.geometry import Float64, norms, stacked_alignments
from flstore_core.workloads.methods.pelt import change_points, noise_deviation

_DIRECTION_NOISE = 0.05
_LENGTH_NOISE = 0.1
_LEAST_CLIENTS = 2


@dataclass(frozen=True)
class DriftParams(ClientParams):
    """Whose drift, and how readily a change is seen."""

    penalty: Annotated[float, Gt(0), Le(1e6)] = 2.0
    """Price of a change point in units of log n for each of the two measures; greater values see fewer changes."""


@dataclass(frozen=True)
class Position(Result):
    """Where the client stood in one round."""

    round: int
    """The round."""
    alignment: float
    """Cosine similarity of its delta with the robust direction of the others', -1 to 1; 0 for a zero delta."""
    norm: float
    """Length of its delta."""
    relative_norm: float | None
    """That length over the median of the others'; null where either is 0."""


@dataclass(frozen=True)
class Change(Result):
    """A round from which on the client behaved otherwise."""

    round: int
    """The first round of the new behaviour."""
    alignment_before: float
    """Mean alignment since the change before."""
    alignment_after: float
    """Mean alignment until the next change."""
    relative_norm_before: float
    """Geometric mean of the relative length since the change before."""
    relative_norm_after: float
    """Geometric mean of the relative length until the next change."""


@dataclass(frozen=True)
class DriftResult(Result):
    """A client's way through the rounds."""

    client: str
    """The client."""
    alignment: float
    """Mean alignment since the last change."""
    relative_norm: float
    """Geometric mean of the relative length since the last change."""
    changes: list[Change]
    """Where direction or length changed, oldest first; empty when nothing did."""
    history: list[Position]
    """The rounds looked at, oldest first."""
    skipped: list[int]
    """Rounds with nobody else in them."""


class Drift:
    """How a client's direction and length moved against the cohort's over rounds, and where they changed."""

    name = "drift"
    pattern = Pattern.P3
    needs = Needs.STATISTICS
    source = "Karimireddy et al. 2020, SCAFFOLD, ICML; Killick, Fearnhead, Eckley 2012, PELT, JASA"
    params = DriftParams
    result = DriftResult

    def select(self, params: DriftParams, index: RoundIndex) -> Sequence[int]:
        return client_history(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: DriftParams) -> DriftResult:
        shared = [data for data in context.rounds if len(data.record.members) >= _LEAST_CLIENTS]
        history = positions(shared, params.client)
        measures = np.array([_measures(each) for each in history]).reshape(-1, 2)
        starts = _changes(measures, params.penalty)
        means = [segment.mean(axis=0) for segment in np.split(measures, starts)] if history else [np.zeros(2)]
        return DriftResult(
            client=params.client,
            alignment=float(means[-1][0]),
            relative_norm=math.exp(means[-1][1]),
            changes=[
                _change(history[start].round, before, after)
                for start, before, after in zip(starts, means[:-1], means[1:], strict=True)
            ],
            history=history,
            skipped=[data.record.number for data in context.rounds if data not in shared],
        )


def positions(rounds: Sequence[RoundData], client: str) -> list[Position]:
    """Return where a client stood in rounds that others were in too."""
    found = []
    statistics = [data.deltas() for data in rounds]
    aligned = stacked_alignments([each.gram for each in statistics])
    for data, deltas, alignments in zip(rounds, statistics, aligned, strict=True):
        row = [str(member) for member in deltas.members].index(client)
        lengths = norms(deltas.gram)
        usual, own = float(np.median(np.delete(lengths, row))), float(lengths[row])
        relative = own / usual if own > 0 and usual > 0 else None
        found.append(Position(data.record.number, float(alignments[row]), own, relative))
    return found


def _measures(position: Position) -> tuple[float, float]:
    return position.alignment, math.log(position.relative_norm) if position.relative_norm else 0.0


def _changes(measures: Float64, penalty: float) -> list[int]:
    if not len(measures):
        return []
    scale = [noise_deviation(measures[:, 0], _DIRECTION_NOISE), noise_deviation(measures[:, 1], _LENGTH_NOISE)]
    return change_points(measures / scale, penalty * measures.shape[1] * math.log(max(len(measures), 2)))


def _change(number: int, before: Float64, after: Float64) -> Change:
    return Change(number, float(before[0]), float(after[0]), math.exp(before[1]), math.exp(after[1]))
