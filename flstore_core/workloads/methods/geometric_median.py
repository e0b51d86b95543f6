"""The geometric median as weights of a mean, by smoothed Weiszfeld iterations on the Gram matrix alone.

Pillutla, Kakade, Harchaoui 2019, Robust Aggregation for Federated Learning (arXiv 1912.13445). The geometric median
is the point with the least sum of distances to the given points. Weiszfeld's iteration takes the mean of the points,
weighted by the inverse of their distances to the last mean. Every iterate is a weighted mean of the points, so its
distances to them follow from their inner products.
"""

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, squared_distances

ITERATIONS = 1000
"""Most iterations: more than rounds need, and each takes microseconds."""

_SETTLED = 1e-12
"""Change of a weight below which the iteration ends."""


def geometric_median(gram: Float64, masses: Float64, smoothing: float) -> Float64:
    """Return the weights, shape (n,), summing to 1, that combine n points to their geometric median.

    Args:
        gram: inner products of the points, shape (n, n).
        masses: how much each point's distance counts, shape (n,), summing to 1.
        smoothing: shorter distances count as this share of the points' usual distance from each other, so that the
            iteration ends also at a median that is one of the points. The usual distance is a median itself, which a
            few far points cannot stretch.
    """
    squares = squared_distances(gram)
    if not squares.any():
        return masses
    least = smoothing * _usual(np.sqrt(squares))
    weights = masses
    for _ in range(ITERATIONS):
        # Points count by the inverse of their distance; a point nearer than `least` does not count infinitely.
        nearer = masses / np.maximum(np.sqrt(_from_mean(squares, weights)), least)
        before, weights = weights, nearer / nearer.sum()
        if np.abs(weights - before).max() < _SETTLED:
            break
    return weights


def _from_mean(squares: Float64, weights: Float64) -> Float64:
    """Return the points' squared distances, shape (n,), to their mean by `weights`, which sum to 1.

    The squared distance to a mean is the mean squared distance to the points, less half the mean squared distance
    among the points.
    """
    to_points = squares @ weights
    return np.asarray(np.maximum(to_points - weights @ to_points / 2, 0.0))


def _usual(distances: Float64) -> float:
    """Return the median over points of their median distance to the others; the least distance above 0 if that is 0."""
    others = distances[~np.eye(len(distances), dtype=bool)].reshape(len(distances), -1)
    return float(np.median(np.median(others, axis=1))) or float(distances[distances > 0].min())
