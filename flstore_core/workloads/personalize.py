"""A model for each group of clients that resemble each other, mixed with the global one.

A model per group is clustered federated learning (Sattler, Müller, Samek 2020, arXiv 1910.01991); interpolation between
such a model and the global one is Mansour, Mohri, Ro, Suresh 2020, Three Approaches for Personalization (arXiv
2002.10619).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from flstore_core.workloads import (
    ArtifactLink,
    Context,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    SliceMember,
    SliceView,
    one_round,
)
from flstore_core.workloads.methods.geometry import cosines
from flstore_core.workloads.shared.grouping import ClusteringParams, group_by_updates
from flstore_core.workloads.shared.origin import origin_of
from flstore_core.workloads.shared.weighted_models import (
    ModelSum,
    add,
    aggregate_sum,
    distances,
    fedavg_sum,
    map_sums,
    members_of_sums,
    scale,
    vector_pieces,
)


@dataclass(frozen=True)
class PersonalizeParams(ClusteringParams):
    """How clients are grouped, and how much of the global model each group's has."""

    global_share: Annotated[float, Ge(0), Le(1)] = 0.0
    """Part of the global model in every group's: 0 for the group's own FedAvg, 1 for the global model."""


@dataclass(frozen=True)
class GroupModel(Result):
    """The model of one group of clients."""

    clients: list[str]
    """Who is in the group."""
    num_examples: float
    """How many examples they have together."""
    distance: float
    """Euclidean distance of the model from the global one."""
    artifact: ArtifactLink
    """The model."""


@dataclass(frozen=True)
class PersonalizeResult(Result):
    """A model per group."""

    round: int
    """The round whose updates went in."""
    global_share: float
    """Part of the global model in every group's."""
    labels: dict[str, int]
    """Each client's group, by its place in `models`."""
    models: list[GroupModel]
    """The groups, in the order of their first clients."""


class Personalize:
    """A model for each group of similar clients, mixed with the global model."""

    name = "personalize"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = False
    source = "Sattler, Müller, Samek 2020, arXiv:1910.01991; Mansour et al. 2020, arXiv:2002.10619"
    params = PersonalizeParams
    result = PersonalizeResult

    def select(self, params: PersonalizeParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def reads_statistics(self, params: PersonalizeParams) -> bool:
        return True

    def members(self, rounds: Sequence[RoundData], params: PersonalizeParams) -> Sequence[SliceMember]:
        (data,) = rounds
        record = data.record
        whole = aggregate_sum(record)
        groups = [_mixed(data, clients, whole, params) for clients in _groups(data, params)]
        examples = {(record.number, member.client): member.num_examples for member in record.members}
        return members_of_sums(groups, [whole] * len(groups), examples)

    def map(self, view: SliceView, params: PersonalizeParams) -> Partial:
        return map_sums(view)

    def combine(self, partials: Sequence[Partial], context: Context, params: PersonalizeParams) -> PersonalizeResult:
        record = context.round.record
        groups = _groups(context.round, params)
        metadata = origin_of(self.name, context, params).to_metadata()
        models = []
        for index, (clients, distance) in enumerate(zip(groups, distances(partials).tolist(), strict=True)):
            context.progress(index, len(groups))
            link = context.write_model(vector_pieces(partials, index), {**metadata, "group": str(index)})
            examples = sum(member.num_examples for member in context.round.members(clients))
            models.append(GroupModel(clients, examples, distance, link))
        labels = {client: index for index, clients in enumerate(groups) for client in clients}
        return PersonalizeResult(record.number, params.global_share, labels, models)


def _groups(data: RoundData, params: PersonalizeParams) -> list[list[str]]:
    deltas = data.deltas(params.clients)
    partition, _ = group_by_updates(cosines(deltas.gram) if params.metric == "cosine" else deltas.gram, params)
    labels = partition.labels
    return [[deltas.members[row] for row in np.flatnonzero(labels == label)] for label in range(labels.max() + 1)]


def _mixed(data: RoundData, clients: Sequence[str], whole: ModelSum, params: PersonalizeParams) -> ModelSum:
    own, share = fedavg_sum(data.record.number, data.members(clients)), params.global_share
    return add(scale(own, 1 - share), scale(whole, share))
