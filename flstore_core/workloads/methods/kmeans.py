"""k-means from squared distances alone: k-means++ seeds (Arthur and Vassilvitskii 2007), Lloyd's iterations, restarts.

A group's mean is never formed. The squared distance of a point to the mean is its mean squared distance to the
group's members, less half the mean squared distance among the members; so points need no coordinates. For example,
points 0 and 2 on a line have the mean 1. Point 5 has squared distances of 25 and 9 to them, 17 on average; the mean
squared distance among them is (0 + 4 + 4 + 0) / 4 = 2; and 17 - 2 / 2 = 16 = (5 - 1)².

All restarts for all numbers of groups run side by side as one batch: for the few points of a round, that takes a
tenth of the time.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import RESOLUTION, Float64

Labels = NDArray[np.intp]
Flags = NDArray[np.bool_]

_ITERATIONS = 300
_TYPICAL_ITERATIONS = 20
"""After which hardly a point changes its group."""
_BLOCK = 1 << 20
"""Elements, runs × points × groups, that are worked on at once: 8 MiB for each of the few arrays of that size."""


class Partition(NamedTuple):
    """Points in groups."""

    labels: Labels
    """Group of each point, shape (n,), numbered by first appearance."""
    inertia: float
    """Sum of squared distances to the groups' means."""


def kmeans(
    squared_distances: Float64, counts: Sequence[int], restarts: int, rng: np.random.Generator
) -> dict[int, Partition]:
    """Return, for each number of groups in `counts`, the best of `restarts` partitions.

    Args:
        squared_distances: among n points, float64, shape (n, n).
        counts: numbers of groups, each at least 1; a partition has fewer groups where points are equal.
        restarts: runs from different seeds, for each number of groups.
        rng: source of the seeds.
    """
    groups_of_runs = np.repeat(np.asarray(counts, dtype=np.intp), restarts)
    seeds, active = _seeds(squared_distances, groups_of_runs, rng)
    labels, inertia = _lloyd_in_blocks(squared_distances, seeds, active)
    best = {}
    for position, count in enumerate(counts):
        runs = slice(position * restarts, (position + 1) * restarts)
        winner = position * restarts + int(inertia[runs].argmin())
        best[count] = Partition(by_appearance(labels[winner]), float(inertia[winner]))
    return best


def estimate_operations(points: int, counts: Sequence[int], restarts: int) -> float:
    """Return about how many operations `kmeans` takes: each iteration multiplies distances with memberships."""
    runs = len(counts) * restarts
    return 2.0 * runs * max(counts) * points**2 * _TYPICAL_ITERATIONS


def estimate_nbytes(points: int, counts: Sequence[int], restarts: int) -> float:
    """Return about how many bytes `kmeans` holds: distances, a few rows for each run, and a few blocks."""
    runs = len(counts) * restarts
    block = max(_BLOCK, points * max(counts))
    return 8.0 * (3 * points**2 + runs * (4 * points + 2 * max(counts)) + 6 * block)


def silhouettes(squared_distances: Float64, labels: Labels) -> Float64:
    """Return each point's silhouette (Rousseeuw 1987), in the shape of `labels`; 0 for a point alone in its group.

    With a the mean distance to the others of its group, and b the least mean distance to another group, a silhouette
    is (b - a) / max(a, b).

    Args:
        squared_distances: among n points, shape (n, n).
        labels: one or more partitions, shape (..., n), numbered from 0, each of two groups at least.
    """
    distances = np.sqrt(squared_distances)
    membership = (labels[..., None] == np.arange(labels.max() + 1)).astype(float)
    sizes = membership.sum(axis=-2, keepdims=True)
    totals = distances @ membership
    own = (membership * totals).sum(axis=-1)
    own_size = (membership * sizes).sum(axis=-1)
    within = own / np.maximum(own_size - 1, 1)
    elsewhere = (membership == 0) & (sizes > 0)
    others = np.where(elsewhere, totals / np.maximum(sizes, 1), np.inf).min(axis=-1)
    widest = np.maximum(within, others)
    score = np.divide(others - within, widest, out=np.zeros_like(widest), where=widest > 0)
    return np.where(own_size > 1, score, 0.0)


def silhouettes_or_zeros(squared_distances: Float64, labels: Labels) -> Float64:
    """Return each point's silhouette, shape (n,); zeros where `labels`, shape (n,), has a single group."""
    return silhouettes(squared_distances, labels) if labels.max() > 0 else np.zeros(len(labels))


def mean_silhouettes(squared_distances: Float64, partitions: Sequence[Partition]) -> list[float]:
    """Return each partition's mean silhouette, computed in one batch; 0 for a single group."""
    means = np.zeros(len(partitions))
    several = [row for row, partition in enumerate(partitions) if partition.labels.max() > 0]
    if several:
        labels = np.stack([partitions[row].labels for row in several])
        means[several] = silhouettes(squared_distances, labels).mean(axis=-1)
    return [float(mean) for mean in means]


def measure_partition(squared_distances: Float64, labels: Labels) -> Partition:
    """Return the partition by `labels`, shape (n,), with its inertia: in each group, half the mean squared distance
    among its members, times its size.
    """
    together = labels[:, None] == labels[None, :]
    sizes = together.sum(axis=1)
    return Partition(labels, float((squared_distances * together / sizes[:, None]).sum() / 2))


def by_appearance(labels: Labels) -> Labels:
    """Return the same groups, numbered in the order of their first points."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[group])


def _seeds(distances: Float64, groups: Labels, rng: np.random.Generator) -> tuple[Labels, Flags]:
    """Return each run's seeds, shape (runs, most groups), and flags of those in use.

    A next seed is drawn with a chance in proportion to its squared distance to the nearest seed so far (k-means++).
    """
    # Runs differ in their number of groups, and a run has fewer where every point equals a seed already. Seeds beyond
    # that are drawn all the same, since the batch has one shape, and are not active.
    runs, most = len(groups), int(groups.max())
    seeds = np.zeros((runs, most), np.intp)
    active = np.zeros((runs, most), np.bool_)
    seeds[:, 0], active[:, 0] = rng.integers(len(distances), size=runs), True
    nearest = distances[seeds[:, 0]]
    least = RESOLUTION * float(distances.max())
    for step in range(1, most):
        active[:, step] = (step < groups) & (nearest.max(axis=1) > least)
        # A uniform number up to the sum falls into a point's part of it with that chance: count the parts below it.
        cumulative = nearest.cumsum(axis=1)
        drawn = rng.random(runs) * cumulative[:, -1]
        seeds[:, step] = np.minimum((cumulative <= drawn[:, None]).sum(axis=1), len(distances) - 1)
        closer = np.minimum(nearest, distances[seeds[:, step]])
        nearest = np.where(active[:, step, None], closer, nearest)
    return seeds, active


def _lloyd_in_blocks(distances: Float64, seeds: Labels, active: Flags) -> tuple[Labels, Float64]:
    """Return what `_lloyd` returns for all runs; as runs do not depend on each other, a block of them at a time."""
    block = max(1, _BLOCK // (len(distances) * seeds.shape[1]))
    starts = range(0, len(seeds), block)
    parts = [_lloyd(distances, seeds[at : at + block], active[at : at + block]) for at in starts]
    return np.concatenate([labels for labels, _ in parts]), np.concatenate([inertia for _, inertia in parts])


def _lloyd(distances: Float64, seeds: Labels, active: Flags) -> tuple[Labels, Float64]:
    """Return the labels of each run, shape (runs, n), and its inertia, once no point changes its group."""
    to_means = np.where(active[:, None, :], distances[:, seeds].transpose(1, 0, 2), np.inf)
    labels = to_means.argmin(axis=2)
    inertia = np.zeros(len(seeds))
    running = np.arange(len(seeds))  # the runs that go on; `to_means` has a row for each of these only
    for _ in range(_ITERATIONS):
        to_means, spread = _to_means(distances, labels[running], active[running], to_means)
        moved = to_means.argmin(axis=2)
        changed = (moved != labels[running]).any(axis=1)
        # The inertia is that of the labels before this step, which differ only in runs that go on.
        inertia[running], labels[running] = spread.sum(axis=1), moved
        running, to_means = running[changed], to_means[changed]
        if not len(running):
            break
    return labels, inertia


def _to_means(distances: Float64, labels: Labels, active: Flags, before: Float64) -> tuple[Float64, Float64]:
    """Return squared distances to the groups' means, shape (runs, n, groups), and each group's inertia.

    A group that lost all its points starts anew at the point farthest from its mean.
    """
    membership = (labels.T[:, :, None] == np.arange(active.shape[1])).astype(np.float64)
    sizes = membership.sum(axis=0)
    held = np.maximum(sizes, 1.0)
    totals = (distances @ membership.reshape(len(distances), -1)).reshape(membership.shape)
    spread = 0.5 * (membership * totals).sum(axis=0) / held
    to_means = np.asarray((totals / held - spread / held).transpose(1, 0, 2))
    for run, group in _positions(active & (sizes == 0)):
        farthest = np.take_along_axis(before[run], labels[run][:, None], axis=1)[:, 0].argmax()
        to_means[run, :, group] = distances[farthest]
    return np.where(active[:, None, :], to_means, np.inf), spread


def _positions(flags: Flags) -> Iterable[tuple[int, int]]:
    """Return the (row, column) of every flag that is set."""
    return zip(*(axis.tolist() for axis in np.nonzero(flags)), strict=True)
