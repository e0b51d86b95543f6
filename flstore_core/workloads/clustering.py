"""Clients of a round grouped by their updates: k-means from the Gram matrix, the number of groups by silhouette.

Clustering clients by the direction of their updates is Sattler et al. 2020 (arXiv 1910.01991); the choice of the number
of groups is Rousseeuw 1987.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.patterns import Pattern
from flstore_core.workloads.base import Context, Needs, Partial, Result, RoundIndex, RoundParams
from flstore_core.workloads.geometry import Float64, cosines, squared_distances
from flstore_core.workloads.kmeans import Partition, kmeans, silhouettes
from flstore_core.workloads.select import one_round


@dataclass(frozen=True)
class ClusteringParams(RoundParams):
    """How clients are grouped."""

    clusters: Annotated[int, Ge(1), Le(256)] | None = None
    """Number of groups; the one with the greatest mean silhouette by default."""
    most: Annotated[int, Ge(2), Le(256)] = 8
    """Greatest number of groups tried when none is given."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """Whether updates are compared by direction alone, or by length too."""
    restarts: Annotated[int, Ge(1), Le(100)] = 10
    """Runs of k-means from fresh seeds, of which the best counts."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the random starts; the same seed gives the same answer."""


@dataclass(frozen=True)
class Cluster(Result):
    """One group."""

    clients: list[str]
    """Who is in it."""
    silhouette: float
    """Mean silhouette of its clients: 1 well apart, 0 in between, negative misplaced."""


@dataclass(frozen=True)
class Clusters(Result):
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
    """Which clients of a round resemble each other, in groups by k-means."""

    name = "clustering"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Lloyd 1982; Rousseeuw 1987, Silhouettes; Sattler, Müller, Samek 2020, arXiv:1910.01991"
    params = ClusteringParams
    result = Clusters

    def select(self, params: ClusteringParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: ClusteringParams) -> Clusters:
        deltas = context.round.deltas(params.clients)
        if params.clusters is not None and params.clusters > len(deltas.members):
            raise NotEnoughData(f"{len(deltas.members)} update(s) cannot form {params.clusters} clusters")
        gram = cosines(deltas.gram) if params.metric == "cosine" else deltas.gram
        partition, tried = group(gram, params)
        scores = _silhouettes(squared_distances(gram), partition)
        return Clusters(
            round=context.round.record.number,
            clusters=_clusters(deltas.members, partition, scores),
            labels=dict(zip(deltas.members, partition.labels.tolist(), strict=True)),
            inertia=partition.inertia,
            silhouette=float(scores.mean()),
            tried={str(count): score for count, score in tried.items()},
        )


def group(gram: Float64, params: ClusteringParams) -> tuple[Partition, dict[int, float]]:
    """Return the partition of n vectors with inner products `gram`, and mean silhouettes by number of groups tried."""
    most = min(params.most, len(gram) - 1)
    counts = [params.clusters] if params.clusters is not None else [1, *range(2, most + 1)]
    distances = squared_distances(gram)
    partitions = kmeans(distances, counts, params.restarts, np.random.default_rng(params.seed))
    if params.clusters is not None:
        return partitions[params.clusters], {}
    tried = {count: float(_silhouettes(distances, partitions[count]).mean()) for count in counts[1:]}
    best = max(tried, key=lambda count: tried[count], default=1)
    return partitions[best if tried.get(best, 0.0) > 0 else 1], tried


def _silhouettes(distances: Float64, partition: Partition) -> Float64:
    if partition.labels.max() == 0:
        return np.zeros(len(distances))
    return silhouettes(distances, partition.labels)


def _clusters(clients: Sequence[str], partition: Partition, scores: Float64) -> list[Cluster]:
    groups = []
    for label in range(int(partition.labels.max()) + 1):
        rows = np.flatnonzero(partition.labels == label)
        groups.append(Cluster([clients[row] for row in rows.tolist()], float(scores[rows].mean())))
    return groups
