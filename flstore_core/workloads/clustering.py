"""Clients of a round grouped by their updates, from the Gram matrix: k-means, average linkage, clustered FL.

Clustering clients by the direction of their updates is Sattler et al. 2020 (arXiv 1910.01991); the choice of the number
of groups is Rousseeuw 1987.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from flstore_core.workloads import Context, Needs, Partial, Pattern, Result, RoundIndex, one_round
from flstore_core.workloads.methods.geometry import Float64, cosines, squared_distances
from flstore_core.workloads.methods.kmeans import Partition, silhouettes_or_zeros
from flstore_core.workloads.shared.grouping import ClusteringParams, group_by_updates


@dataclass(frozen=True)
class Cluster(Result):
    """One group."""

    clients: list[str]
    """Who is in it."""
    silhouette: float
    """Mean silhouette of its clients: 1 well apart, 0 in between, negative misplaced."""


@dataclass(frozen=True)
class ClusteringResult(Result):
    """Clients in groups."""

    round: int
    """The round answered for."""
    clusters: list[Cluster]
    """The groups, in the order of their first clients."""
    labels: dict[str, int]
    """Each client's group, by its place in `clusters`."""
    inertia: float
    """Sum of squared distances to the groups' means."""
    silhouette: float
    """Mean silhouette of all clients; 0 for a single group."""
    tried: dict[str, float] = field(default_factory=dict)
    """Mean silhouette by number of groups, where that was looked for."""


class Clustering:
    """Which clients of a round resemble each other, in groups."""

    name = "clustering"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Lloyd 1982; Rousseeuw 1987, Silhouettes; Sattler, Müller, Samek 2020, arXiv:1910.01991"
    params = ClusteringParams
    result = ClusteringResult

    def select(self, params: ClusteringParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

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
    groups = []
    for label in range(int(partition.labels.max()) + 1):
        rows = np.flatnonzero(partition.labels == label)
        groups.append(Cluster([clients[row] for row in rows.tolist()], float(scores[rows].mean())))
    return groups
