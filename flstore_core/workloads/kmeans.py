"""k-means of a few hundred points: k-means++ seeds (Arthur and Vassilvitskii 2007), Lloyd's iterations, restarts."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.geometry import RESOLUTION, Float64

Labels = NDArray[np.intp]

_ITERATIONS = 300


class Partition(NamedTuple):
    """Points in groups."""

    labels: Labels
    """Group of each point, shape (n,), numbered by first appearance."""
    inertia: float
    """Sum of squared distances to the groups' means."""


def kmeans(points: Float64, groups: int, restarts: int, rng: np.random.Generator) -> Partition:
    """Return the best of `restarts` partitions of `points`, shape (n, d), into `groups` or, of equal points, fewer."""
    best = min((_lloyd(points, _seeds(points, groups, rng)) for _ in range(restarts)), key=lambda p: p.inertia)
    return Partition(by_appearance(best.labels), best.inertia)


def silhouettes(squared_distances: Float64, labels: Labels) -> Float64:
    """Return each point's silhouette (Rousseeuw 1987), shape (n,); 0 where it is alone. There must be two groups."""
    distances = np.sqrt(squared_distances)
    groups = np.unique(labels)
    membership = (labels[:, None] == groups[None, :]).astype(float)
    sizes = membership.sum(axis=0)
    totals = distances @ membership
    own = (membership * totals).sum(axis=1)
    own_size = membership @ sizes
    within = own / np.maximum(own_size - 1, 1)
    others = np.where(membership > 0, np.inf, totals / sizes).min(axis=1)
    widest = np.maximum(within, others)
    score = np.divide(others - within, widest, out=np.zeros_like(widest), where=widest > 0)
    return np.where(own_size > 1, score, 0.0)


def by_appearance(labels: Labels) -> Labels:
    """Return the same groups, numbered in the order of their first points."""
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(np.argsort(np.argsort(first))[group])


def _seeds(points: Float64, groups: int, rng: np.random.Generator) -> Float64:
    chosen = [int(rng.integers(len(points)))]
    nearest = _squared_distances(points, points[chosen])[:, 0]
    least = RESOLUTION * float((points**2).sum(axis=1).max())
    while len(chosen) < groups and nearest.max() > least:
        chosen.append(int(rng.choice(len(points), p=nearest / nearest.sum())))
        nearest = np.minimum(nearest, _squared_distances(points, points[chosen[-1:]])[:, 0])
    return points[chosen]


def _lloyd(points: Float64, centres: Float64) -> Partition:
    labels = np.full(len(points), -1)
    for _ in range(_ITERATIONS):
        distances = _squared_distances(points, centres)
        nearest = distances.argmin(axis=1)
        if (nearest == labels).all():
            break
        labels = nearest
        centres = _means(points, labels, centres, distances)
    return Partition(labels, float(((points - centres[labels]) ** 2).sum()))


def _means(points: Float64, labels: Labels, centres: Float64, distances: Float64) -> Float64:
    """Return the groups' means; a group that lost all its points starts anew at the worst served one."""
    moved = centres.copy()
    for group in range(len(centres)):
        mine = labels == group
        served = distances[np.arange(len(points)), labels]
        moved[group] = points[mine].mean(axis=0) if mine.any() else points[served.argmax()]
    return moved


def _squared_distances(points: Float64, centres: Float64) -> Float64:
    return np.asarray(((points[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2))
