"""How a client's updates drift away from the other clients' over rounds, in direction and in length.

In each round, the client's delta is compared with those of the other clients: its cosine similarity with their robust
direction, and its length over the median of their lengths. Client drift shows in both (Karimireddy et al. 2020,
SCAFFOLD, ICML). PELT (Killick, Fearnhead, Eckley 2012, JASA) cuts this history into segments of constant mean; a cut is
made where it fits the history better by more than `penalty` × log n for each measure, as by the Bayesian information
criterion. A client whose alignment is about 0.8 for seven rounds and about -0.8 after that has one change, in the
eighth round.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Annotated

import numpy as np
from annotated_types import Gt, Le

from flstore_core.ids import ClientId
from flstore_core.statistics import RoundStatistics
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
"""Least standard deviation assumed of alignments, so that tiny changes of a steady client are not reported."""
_LENGTH_NOISE = 0.1
"""Least standard deviation assumed of the logarithms of relative lengths."""


@dataclass(frozen=True)
class DriftParams(ClientParams):
    """Which client is followed, and how readily changes are reported."""

    penalty: Annotated[float, Gt(0), Le(1e6)] = 2.0
    """Penalty on a change, in units of log n for each of the two measures, where n is the number of rounds. Greater
    values report fewer changes."""


@dataclass(frozen=True)
class Position(Result):
    """The client's update in one round, compared with the others'."""

    round: int
    """Number of the round."""
    alignment: float
    """Cosine similarity of the client's delta with the robust direction of the others', -1 to 1; 0 for a zero delta."""
    norm: float
    """Euclidean length of the client's delta."""
    relative_norm: float | None
    """`norm` over the median of the others' lengths; null if either is 0."""


@dataclass(frozen=True)
class Change(Result):
    """A change of the client's direction or length."""

    round: int
    """The first round after the change."""
    alignment_before: float
    """Mean alignment between the previous change and this one."""
    alignment_after: float
    """Mean alignment between this change and the next one."""
    relative_norm_before: float
    """Geometric mean of the relative length between the previous change and this one."""
    relative_norm_after: float
    """Geometric mean of the relative length between this change and the next one."""


@dataclass(frozen=True)
class DriftResult(Result):
    """How a client's updates compare with the others' over rounds."""

    client: str
    """Name of the client."""
    alignment: float
    """Mean alignment since the last change, -1 to 1; 0 without any history."""
    relative_norm: float
    """Geometric mean of the relative length since the last change; 1 without any history."""
    changes: list[Change]
    """Changes of direction or length, oldest first; empty if there is none."""
    history: list[Position]
    """The client's position in each round, oldest first."""
    skipped: list[int]
    """Rounds that are left out because no other client took part."""


class Drift:
    """How a client's updates drift from the others' in direction and length, and in which rounds they changed."""

    name = "drift"
    pattern = Pattern.P3
    needs = Needs.STATISTICS
    source = "Karimireddy et al. 2020, SCAFFOLD, ICML; Killick, Fearnhead, Eckley 2012, PELT, JASA"
    params = DriftParams
    result = DriftResult

    def select(self, params: DriftParams, index: RoundIndex) -> Sequence[int]:
        return client_history(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: DriftParams) -> DriftResult:
        with_others = [data for data in context.rounds if len(data.record.members) > 1]
        history = positions(with_others, params.client)
        measures = np.array([_measures(position) for position in history]).reshape(-1, 2)
        starts = _changes(measures, params.penalty)
        means = [segment.mean(axis=0) for segment in np.split(measures, starts)] if history else [np.zeros(2)]
        return DriftResult(
            client=params.client,
            alignment=float(means[-1][0]),
            relative_norm=math.exp(means[-1][1]),
            changes=[
                _change(history[start].round, before, after)
                for start, (before, after) in zip(starts, pairwise(means), strict=True)
            ],
            history=history,
            skipped=[data.record.number for data in context.rounds if len(data.record.members) == 1],
        )


def positions(rounds: Sequence[RoundData], client: str) -> list[Position]:
    """Return the client's position in each of some rounds, in which other clients took part too."""
    deltas = [data.deltas() for data in rounds]
    alignments = stacked_alignments([statistics.gram for statistics in deltas])
    return [
        _position(data.record.number, statistics, aligned, ClientId(client))
        for data, statistics, aligned in zip(rounds, deltas, alignments, strict=True)
    ]


def _position(number: int, deltas: RoundStatistics, alignments: Float64, client: ClientId) -> Position:
    row = deltas.members.index(client)
    lengths = norms(deltas.gram)
    own, usual = float(lengths[row]), float(np.median(np.delete(lengths, row)))
    return Position(number, float(alignments[row]), own, own / usual if own > 0 and usual > 0 else None)


def _measures(position: Position) -> tuple[float, float]:
    """Return alignment and logarithm of the relative length: what changes are looked for in."""
    return position.alignment, math.log(position.relative_norm) if position.relative_norm else 0.0


def _changes(measures: Float64, penalty: float) -> list[int]:
    """Return the rows of `measures`, shape (rounds, 2), at which a new segment starts."""
    if not len(measures):
        return []
    scale = [noise_deviation(measures[:, 0], _DIRECTION_NOISE), noise_deviation(measures[:, 1], _LENGTH_NOISE)]
    return change_points(measures / scale, penalty * measures.shape[1] * math.log(max(len(measures), 2)))


def _change(number: int, before: Float64, after: Float64) -> Change:
    return Change(number, float(before[0]), float(after[0]), math.exp(before[1]), math.exp(after[1]))
