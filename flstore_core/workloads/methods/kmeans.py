"""k-means from squared distances alone: k-means++ seeds (Arthur and Vassilvitskii 2007), Lloyd's iterations, restarts.

A group's mean is never formed. The squared distance of a point to it is the mean squared distance to the group's
members less half their mean squared distance among themselves, so points need no coordinates. All restarts for all
numbers of groups run side by side as one batch: for the few points of a round, that takes a tenth of the time.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import RESOLUTION, Float64

Labels = NDArray[np.intp]
Flags = NDArray[np.bool_]

_ITERATIONS = 300


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
        counts: numbers of groups, each at least 1; fewer groups come out where points are equal.
    """
    wanted = np.repeat(np.asarray(counts, dtype=np.intp), restarts)
    seeds, active = _seeds(squared_distances, wanted, rng)
    labels, inertia = _lloyd(squared_distances, seeds, active)
    best = {}
    for position, count in enumerate(counts):
        runs = slice(position * restarts, (position + 1) * restarts)
        winner = position * restarts + int(inertia[runs].argmin())
        best[count] = Partition(by_appearance(labels[winner]), float(inertia[winner]))
    return best


def silhouettes(squared_distances: Float64, labels: Labels) -> Float64:
    """Return each point's silhouette (Rousseeuw 1987), in the shape of `labels`; 0 where it is alone.

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


def measured(squared_distances: Float64, labels: Labels) -> Partition:
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


def _seeds(distances: Float64, wanted: Labels, rng: np.random.Generator) -> tuple[Labels, Flags]:
    """Return each run's seeds, shape (runs, most), and which of them count."""
    runs, most = len(wanted), int(wanted.max())
    seeds = np.zeros((runs, most), np.intp)
    active = np.zeros((runs, most), np.bool_)
    seeds[:, 0], active[:, 0] = rng.integers(len(distances), size=runs), True
    nearest = distances[seeds[:, 0]]
    least = RESOLUTION * float(distances.max())
    for step in range(1, most):
        active[:, step] = (step < wanted) & (nearest.max(axis=1) > least)
        cumulated = nearest.cumsum(axis=1)
        drawn = rng.random(runs) * cumulated[:, -1]
        seeds[:, step] = np.minimum((cumulated <= drawn[:, None]).sum(axis=1), len(distances) - 1)
        closer = np.minimum(nearest, distances[seeds[:, step]])
        nearest = np.where(active[:, step, None], closer, nearest)
    return seeds, active


def _lloyd(distances: Float64, seeds: Labels, active: Flags) -> tuple[Labels, Float64]:
    """Return the labels of each run, shape (runs, n), and its inertia, once no run changes any more."""
    to_means = np.where(active[:, None, :], distances[:, seeds].transpose(1, 0, 2), np.inf)
    labels = to_means.argmin(axis=2)
    inertia = np.zeros(len(seeds))
    going = np.arange(len(seeds))
    for _ in range(_ITERATIONS):
        to_means, spread = _to_means(distances, labels[going], active[going], to_means)
        moved = to_means.argmin(axis=2)
        changed = (moved != labels[going]).any(axis=1)
        inertia[going], labels[going] = spread.sum(axis=1), moved
        going, to_means = going[changed], to_means[changed]
        if not len(going):
            break
    return labels, inertia


def _to_means(distances: Float64, labels: Labels, active: Flags, before: Float64) -> tuple[Float64, Float64]:
    """Return squared distances to the groups' means, shape (runs, n, groups), and each group's inertia.

    A group that lost all its points starts anew at the worst served one.
    """
    membership = (labels.T[:, :, None] == np.arange(active.shape[1])).astype(np.float64)
    sizes = membership.sum(axis=0)
    held = np.maximum(sizes, 1.0)
    totals = (distances @ membership.reshape(len(distances), -1)).reshape(membership.shape)
    spread = 0.5 * (membership * totals).sum(axis=0) / held
    to_means = np.asarray((totals / held - spread / held).transpose(1, 0, 2))
    for run, group in _positions(active & (sizes == 0)):
        worst = np.take_along_axis(before[run], labels[run][:, None], axis=1)[:, 0].argmax()
        to_means[run, :, group] = distances[worst]
    return np.where(active[:, None, :], to_means, np.inf), spread


def _positions(flags: Flags) -> Iterable[tuple[int, int]]:
    return zip(*(axis.tolist() for axis in np.nonzero(flags)), strict=True)
