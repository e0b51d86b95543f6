"""Clients of a round grouped by their updates, from the Gram matrix: k-means, average linkage, clustered FL.

Clustering clients by the direction of their updates is Sattler et al. 2020 (arXiv 1910.01991); the choice of the number
of groups is Rousseeuw 1987.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.workloads import Context, Needs, Partial, Pattern, Result, RoundIndex, RoundParams, one_round
from flstore_core.workloads.methods.agglomerative import average_linkage
from flstore_core.workloads.methods.clustered_fl import clustered_fl
from flstore_core.workloads.methods.geometry import Float64, cosines, squared_distances
from flstore_core.workloads.methods.kmeans import Labels, Partition, kmeans, silhouettes


@dataclass(frozen=True)
class ClusteringParams(RoundParams):
    """How clients are grouped."""

    method: Literal["kmeans", "agglomerative", "cfl"] = "kmeans"
    """`kmeans`; `agglomerative` with average linkage; `cfl`: clustered FL's bipartition, again and again while a group
    as a whole has come to rest and its members have not."""
    clusters: Annotated[int, Ge(1), Le(256)] | None = None
    """Number of groups; the one with the greatest mean silhouette by default. `cfl` finds it by itself."""
    most: Annotated[int, Ge(2), Le(256)] = 8
    """Greatest number of groups tried when none is given."""
    metric: Literal["cosine", "euclidean"] = "cosine"
    """Whether updates are compared by direction alone, or by length too."""
    restarts: Annotated[int, Ge(1), Le(100)] = 10
    """Runs of k-means from fresh seeds, of which the best counts."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the random starts; the same seed gives the same answer."""
    stationary: Annotated[float, Ge(0), Le(1)] = 0.4
    """`cfl` splits a group only if its mean delta is shorter than this share of its longest (ε1 of the paper)."""
    disagreement: Annotated[float, Ge(0), Le(1)] = 0.5
    """`cfl` splits a group only if sqrt((1 - similarity across the split) / 2) is above this (γmax of the paper)."""


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
        partition, tried = group(gram, params)
        scores = _silhouettes(squared_distances(gram), partition)
        return ClusteringResult(
            round=context.round.record.number,
            clusters=_clusters(deltas.members, partition, scores),
            labels=dict(zip(deltas.members, partition.labels.tolist(), strict=True)),
            inertia=partition.inertia,
            silhouette=float(scores.mean()),
            tried={str(count): score for count, score in tried.items()},
        )


def group(gram: Float64, params: ClusteringParams) -> tuple[Partition, dict[int, float]]:
    """Return the partition of n vectors with inner products `gram`, and mean silhouettes by number of groups tried.

    Raises:
        NotEnoughData: if they are fewer than the groups wanted.
    """
    if params.clusters is not None and params.clusters > len(gram):
        raise NotEnoughData(f"{len(gram)} update(s) cannot form {params.clusters} clusters")
    distances = squared_distances(gram)
    if params.method == "cfl":
        return _measured(distances, clustered_fl(gram, params.stationary, params.disagreement)), {}
    most = min(params.most, len(gram) - 1)
    counts = [params.clusters] if params.clusters is not None else [1, *range(2, most + 1)]
    partitions = _partitions(distances, counts, params)
    if params.clusters is not None:
        return partitions[params.clusters], {}
    tried = dict(
        zip(counts[1:], _mean_silhouettes(distances, [partitions[count] for count in counts[1:]]), strict=True)
    )
    best = max(tried, key=lambda count: tried[count], default=1)
    return partitions[best if tried.get(best, 0.0) > 0 else 1], tried


def _partitions(distances: Float64, counts: Sequence[int], params: ClusteringParams) -> dict[int, Partition]:
    if params.method == "kmeans":
        return kmeans(distances, counts, params.restarts, np.random.default_rng(params.seed))
    levels = dict(zip(range(len(distances), 0, -1), average_linkage(distances), strict=True))
    return {count: _measured(distances, levels[count]) for count in counts}


def _measured(distances: Float64, labels: Labels) -> Partition:
    """Return a partition with its inertia: over each group, the squared distances among its members by its size."""
    together = labels[:, None] == labels[None, :]
    sizes = together.sum(axis=1)
    return Partition(labels, float((distances * together / sizes[:, None]).sum() / 2))


def _mean_silhouettes(distances: Float64, partitions: Sequence[Partition]) -> list[float]:
    """Return each partition's mean silhouette, all worked out at once; 0 for a single group."""
    means = np.zeros(len(partitions))
    several = [row for row, partition in enumerate(partitions) if partition.labels.max() > 0]
    if several:
        means[several] = silhouettes(distances, np.stack([partitions[row].labels for row in several])).mean(axis=-1)
    return [float(mean) for mean in means]


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
