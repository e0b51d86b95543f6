"""A personalized model for each group of clients with similar updates.

Clients are grouped as by the workload `clustering` (clustered federated learning: Sattler, Müller, Samek 2020, arXiv
1910.01991). A group's model is the FedAvg of its clients' models, interpolated with the global model: (1 - λ) group +
λ global, where λ is `global_share` (Mansour, Mohri, Ro, Suresh 2020, Three Approaches for Personalization, arXiv
2002.10619). With λ = 0.5, a group whose FedAvg is 2 gets 1.5 if the global model is 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from flstore_core.workloads import (
    ArtifactLink,
    Context,
    Cost,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    SliceMember,
    SliceView,
    Weighted,
    one_round,
    unweighted,
)
from flstore_core.workloads.methods.geometry import cosines
from flstore_core.workloads.shared.grouping import ClusteringParams, estimate_grouping, group_by_updates
from flstore_core.workloads.shared.origin import origin_of
from flstore_core.workloads.shared.weighted_models import (
    ModelSum,
    add,
    aggregate_sum,
    averaged_members,
    distances,
    fedavg_sum,
    map_sums,
    members_of_sums,
    scale,
    vector_pieces,
)


@dataclass(frozen=True)
class PersonalizeParams(ClusteringParams):
    """How clients are grouped, and how much of the global model each group's model contains."""

    global_share: Annotated[float, Ge(0), Le(1)] = 0.0
    """Share of the global model in each group's model: 0 for the group's own FedAvg, 1 for the global model."""


@dataclass(frozen=True)
class GroupModel(Result):
    """The model of one group of clients."""

    clients: list[str]
    """Names of the group's clients."""
    num_examples: float
    """Sum of the clients' weights."""
    distance: float
    """Euclidean distance of the group's model from the global model."""
    artifact: ArtifactLink
    """Where the group's model is stored."""


@dataclass(frozen=True)
class PersonalizeResult(Weighted):
    """A model for each group of clients."""

    round: int
    """The round whose updates were grouped."""
    global_share: float
    """Share of the global model in each group's model."""
    labels: dict[str, int]
    """Index in `models` of each client's group."""
    models: list[GroupModel]
    """The groups, in the order of their first clients."""


class Personalize:
    """A personalized model for each group of clients with similar updates."""

    name = "personalize"
    pattern = Pattern.P2
    needs = Needs.WEIGHTS
    reads_base = False
    source = "Sattler, Müller, Samek 2020, arXiv:1910.01991; Mansour et al. 2020, arXiv:2002.10619"
    params = PersonalizeParams
    result = PersonalizeResult

    def select(self, params: PersonalizeParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def cost(self, params: PersonalizeParams, rounds: Sequence[RoundData], parameters: int) -> Cost:
        return estimate_grouping(params, rounds)

    def reads_statistics(self, params: PersonalizeParams) -> bool:
        return True

    def members(self, rounds: Sequence[RoundData], params: PersonalizeParams) -> Sequence[SliceMember]:
        (data,) = rounds
        record = data.record
        whole = aggregate_sum(record)
        models = [_interpolated(data, clients, whole, params) for clients in _groups(data, params)]
        examples = {(record.number, member.client): member.num_examples for member in record.members}
        return members_of_sums(models, [whole] * len(models), examples)

    def map(self, view: SliceView, params: PersonalizeParams) -> Partial:
        return map_sums(view)

    def combine(self, partials: Sequence[Partial], context: Context, params: PersonalizeParams) -> PersonalizeResult:
        data = context.round
        groups = _groups(data, params)
        metadata = origin_of(self.name, context, params).to_metadata()
        models = []
        for index, (clients, distance) in enumerate(zip(groups, distances(partials).tolist(), strict=True)):
            context.progress(index, len(groups))
            link = context.write_model(vector_pieces(partials, index), {**metadata, "group": str(index)})
            num_examples = sum(member.num_examples for member in data.members(clients))
            models.append(GroupModel(clients, num_examples, distance, link))
        labels = {client: index for index, clients in enumerate(groups) for client in clients}
        return PersonalizeResult(
            round=data.record.number,
            global_share=params.global_share,
            labels=labels,
            models=models,
            unweighted=unweighted(averaged_members(data.record), *map(data.members, groups)),
        )


def _groups(data: RoundData, params: PersonalizeParams) -> list[list[str]]:
    """Return the groups of clients, in the order of their first clients."""
    deltas = data.deltas(params.clients)
    partition, _ = group_by_updates(cosines(deltas.gram) if params.metric == "cosine" else deltas.gram, params)
    labels = partition.labels
    return [[deltas.members[row] for row in np.flatnonzero(labels == label)] for label in range(labels.max() + 1)]


def _interpolated(data: RoundData, clients: Sequence[str], whole: ModelSum, params: PersonalizeParams) -> ModelSum:
    """Return a group's model: FedAvg of its clients, interpolated with the global model, `whole`."""
    own = fedavg_sum(data.record.number, data.members(clients))
    return add(scale(own, 1 - params.global_share), scale(whole, params.global_share))
