"""Which clients of a round sent similar updates, in groups, from the inner products of the updates alone.

Updates are compared by direction (Sattler et al. 2020, arXiv 1910.01991) or by Euclidean distance. k-means, average
linkage or clustered FL forms the groups. The number of groups is the one with the greatest mean silhouette (Rousseeuw
1987): (b - a) / max(a, b) for a client at the mean distance a from its own group and b from the nearest other group.
The updates (5, 0), (0, 1), (1, 0) and (0, 9) form two groups by direction, first with third and second with fourth;
every silhouette is 1, as all distances within the groups are 0.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flstore_core.workloads import (
    Context,
    Cost,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    one_round,
)
from flstore_core.workloads.methods.geometry import Float64, cosines, squared_distances
from flstore_core.workloads.methods.kmeans import Partition, silhouettes_or_zeros
from flstore_core.workloads.shared.grouping import ClusteringParams, estimate_grouping, group_by_updates


@dataclass(frozen=True)
class Cluster(Result):
    """One group of clients."""

    clients: list[str]
    """Names of its clients."""
    silhouette: float
    """Mean silhouette of its clients, -1 to 1: 1 if they are far from all other groups, 0 if they lie between two
    groups, negative if they are nearer to another group."""


@dataclass(frozen=True)
class ClusteringResult(Result):
    """The clients of a round, in groups."""

    round: int
    """The round that was read."""
    clusters: list[Cluster]
    """The groups, in the order of their first clients."""
    labels: dict[str, int]
    """Index in `clusters` of each client's group."""
    inertia: float
    """Sum of the squared distances of updates to the means of their groups."""
    silhouette: float
    """Mean silhouette of all clients, -1 to 1; 0 for a single group."""
    tried: dict[str, float] = field(default_factory=dict)
    """Mean silhouette by number of groups, for each number tried; empty if `clusters` was given, or for `cfl`."""


class Clustering:
    """Which clients of a round sent similar updates, in groups."""

    name = "clustering"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Lloyd 1982; Rousseeuw 1987, Silhouettes; Sattler, Müller, Samek 2020, arXiv:1910.01991"
    params = ClusteringParams
    result = ClusteringResult

    def select(self, params: ClusteringParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def cost(self, params: ClusteringParams, rounds: Sequence[RoundData], parameters: int) -> Cost:
        return estimate_grouping(params, rounds)

    def combine(self, partials: Sequence[Partial], context: Context, params: ClusteringParams) -> ClusteringResult:
        deltas = context.round.deltas(params.clients)
        gram = cosines(deltas.gram) if params.metric == "cosine" else deltas.gram
        partition, tried = group_by_updates(gram, params)
        scores = silhouettes_or_zeros(squared_distances(gram), partition.labels)
        return ClusteringResult(
            round=context.round.record.number,
            clusters=_clusters(deltas.members, partition, scores),
            labels=dict(zip(deltas.members, partition.labels.tolist(), strict=True)),
            inertia=partition.inertia,
            silhouette=float(scores.mean()),
            tried={str(count): score for count, score in tried.items()},
        )


def _clusters(clients: Sequence[str], partition: Partition, scores: Float64) -> list[Cluster]:
    members = [np.flatnonzero(partition.labels == label) for label in range(partition.labels.max() + 1)]
    return [Cluster([clients[row] for row in rows.tolist()], float(scores[rows].mean())) for rows in members]
