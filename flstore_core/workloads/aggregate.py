"""The updates of a round, aggregated anew into a model: FedAvg, coordinate median, trimmed mean.

FedAvg is McMahan et al. 2017 (AISTATS); the median and the trimmed mean are Yin et al. 2018 (ICML).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Lt

from flstore_core.errors import NotEnoughData
from flstore_core.patterns import Pattern
from flstore_core.workloads.base import (
    ArtifactLink,
    Context,
    Needs,
    Partial,
    Result,
    RoundData,
    RoundIndex,
    RoundParams,
    SliceMember,
    SliceView,
    fedavg_weights,
)
from flstore_core.workloads.coordinatewise import (
    Combiner,
    MeanOfRanks,
    WeightedMean,
    combine_rows,
    coordinate_median,
)
from flstore_core.workloads.select import one_round

Method = Literal["fedavg", "median", "trimmed-mean"]


@dataclass(frozen=True)
class AggregateParams(RoundParams):
    """How the updates are combined."""

    method: Method = "fedavg"
    """`fedavg` weighs by num_examples; `median` and `trimmed-mean` take every coordinate by itself, unweighted."""
    trim: Annotated[float, Ge(0), Lt(0.5)] = 0.1
    """Share of the values dropped at each end by `trimmed-mean`; floor(trim × clients) of them."""


@dataclass(frozen=True)
class Aggregated(Result):
    """A new model, and how it came about."""

    round: int
    """The round whose updates went in."""
    method: str
    """How they were combined."""
    clients: list[str]
    """Whose updates went in."""
    weights: list[float]
    """Each client's weight; equal for the unweighted methods."""
    dropped: int
    """Values left out of every coordinate, both ends together."""
    moved: float
    """Euclidean distance from the round's base, or from zero if it has none."""
    artifact: ArtifactLink
    """The model."""


class Aggregate:
    """A round's updates aggregated anew: by FedAvg, coordinate median or trimmed mean, into a stored model."""

    name = "aggregate"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = True
    source = "McMahan et al. 2017, AISTATS; Yin et al. 2018, Byzantine-Robust Distributed Learning, ICML"
    params = AggregateParams
    result = Aggregated

    def select(self, params: AggregateParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def members(self, rounds: Sequence[RoundData], params: AggregateParams) -> Sequence[SliceMember]:
        (data,) = rounds
        members = data.members(params.clients)
        if not members:
            raise NotEnoughData(f"round {data.record.number} has no updates to aggregate")
        return [SliceMember(data.record.number, member.client, member.num_examples) for member in members]

    def map(self, view: SliceView, params: AggregateParams) -> Partial:
        combined, moved = combine_rows(view.rows, _combiner(view, params), view.base)
        return {"vector": combined, "moved": np.array([moved])}

    def combine(self, partials: Sequence[Partial], context: Context, params: AggregateParams) -> Aggregated:
        members = context.members
        cut = _cut(len(members), params)
        even = [1.0] * len(members)
        weights = fedavg_weights([m.num_examples for m in members] if params.method == "fedavg" else even)
        number = context.round.record.number
        metadata = {"workload": self.name, "method": params.method, "round": str(number)}
        return Aggregated(
            round=number,
            method=params.method,
            clients=[member.client for member in members],
            weights=weights.tolist(),
            dropped=2 * cut,
            moved=math.sqrt(sum(float(partial["moved"][0]) for partial in partials)),
            artifact=context.write_model([partial["vector"] for partial in partials], metadata),
        )


def _combiner(view: SliceView, params: AggregateParams) -> Combiner:
    if params.method == "fedavg":
        return WeightedMean(fedavg_weights(view.num_examples.tolist()))
    return MeanOfRanks(_cut(len(view.rows), params))


def _cut(clients: int, params: AggregateParams) -> int:
    if params.method == "median":
        return coordinate_median(clients).cut
    return int(params.trim * clients) if params.method == "trimmed-mean" else 0
