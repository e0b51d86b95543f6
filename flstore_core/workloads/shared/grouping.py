"""Clients grouped by their updates, by k-means, average linkage or clustered FL.

Without a given number, every number up to `most` is tried, and the greatest mean silhouette wins (Rousseeuw 1987); all
clients form one group where no partition has a positive one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import NotEnoughData
from flstore_core.workloads import Cost, RoundData, RoundParams
from flstore_core.workloads.methods.agglomerative import average_linkage
from flstore_core.workloads.methods.clustered_fl import clustered_fl
from flstore_core.workloads.methods.geometry import Float64, squared_distances
from flstore_core.workloads.methods.kmeans import (
    Partition,
    estimate_nbytes,
    estimate_operations,
    kmeans,
    mean_silhouettes,
    measure_partition,
)


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


def estimate_grouping(params: ClusteringParams, rounds: Sequence[RoundData]) -> Cost:
    """Return what grouping a round's updates takes. All methods but k-means need about n³ operations.

    Example: k-means of 100 clients into each number of groups up to 99, with 100 restarts for each, takes about
    2 × 9,800 × 99 × 100² × 20 = 3.9e11 operations.
    """
    points = len(rounds[-1].members(params.clients))
    if params.method != "kmeans":
        return Cost(8.0 * 6 * points**2, 4.0 * points**3)
    if params.clusters is not None:
        counts: Sequence[int] = [params.clusters]
    else:
        counts = range(1, max(2, min(params.most, points - 1)) + 1)
    silhouettes = 8.0 * 4 * len(counts) * points * max(counts)
    return Cost(
        estimate_nbytes(points, counts, params.restarts) + silhouettes,
        estimate_operations(points, counts, params.restarts),
    )


def group_by_updates(gram: Float64, params: ClusteringParams) -> tuple[Partition, dict[int, float]]:
    """Return the partition of n updates, and the mean silhouette of each number of groups that was tried.

    Args:
        gram: inner products of the updates' deltas, or their cosine similarities, shape (n, n).
        params: the method, its settings, and the number of groups if it is given.

    Raises:
        NotEnoughData: if `params.clusters` is greater than n.
    """
    if params.clusters is not None and params.clusters > len(gram):
        raise NotEnoughData(f"{len(gram)} update(s) cannot form {params.clusters} clusters")
    distances = squared_distances(gram)
    if params.method == "cfl":
        return measure_partition(distances, clustered_fl(gram, params.stationary, params.disagreement)), {}
    if params.clusters is not None:
        return _partitions(distances, [params.clusters], params)[params.clusters], {}
    counts = range(2, min(params.most, len(gram) - 1) + 1)
    partitions = _partitions(distances, [1, *counts], params)
    tried = dict(zip(counts, mean_silhouettes(distances, [partitions[count] for count in counts]), strict=True))
    best = max(tried, key=lambda count: tried[count], default=1)
    return partitions[best if tried.get(best, 0.0) > 0 else 1], tried


def _partitions(distances: Float64, counts: Sequence[int], params: ClusteringParams) -> dict[int, Partition]:
    """Return a partition into each of `counts` groups."""
    if params.method == "kmeans":
        return kmeans(distances, counts, params.restarts, np.random.default_rng(params.seed))
    levels = dict(zip(range(len(distances), 0, -1), average_linkage(distances), strict=True))
    return {count: measure_partition(distances, levels[count]) for count in counts}
