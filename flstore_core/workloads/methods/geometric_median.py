"""The geometric median as weights of a mean, by smoothed Weiszfeld iterations on the Gram matrix alone.

Pillutla, Kakade, Harchaoui 2019, Robust Aggregation for Federated Learning (arXiv 1912.13445). Every iterate is a
weighted mean of the points, so its distances from them follow from their inner products.
"""

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, squared_distances

ITERATIONS = 1000
"""More than rounds need; each takes microseconds."""

_SETTLED = 1e-12


def geometric_median(gram: Float64, masses: Float64, smoothing: float) -> Float64:
    """Return the weights, shape (n,), summing to 1, that combine n points to their geometric median.

    Args:
        gram: inner products of the points, shape (n, n).
        masses: how much each point's distance counts, shape (n,), summing to 1.
        smoothing: distances below this share of the points' usual distance from each other count as it, so that a
            median on top of a point is reached. The usual one is a median, which no few far points can stretch.
    """
    squares = squared_distances(gram)
    if not squares.any():
        return masses
    least = smoothing * _usual(np.sqrt(squares))
    weights = masses
    for _ in range(ITERATIONS):
        nearer = masses / np.maximum(np.sqrt(_from_mean(squares, weights)), least)
        before, weights = weights, nearer / nearer.sum()
        if np.abs(weights - before).max() < _SETTLED:
            break
    return weights


def _from_mean(squares: Float64, weights: Float64) -> Float64:
    """Return the points' squared distances, shape (n,), from their mean by `weights`, which sum to 1."""
    towards = squares @ weights
    return np.asarray(np.maximum(towards - weights @ towards / 2, 0.0))


def _usual(distances: Float64) -> float:
    """Return the median over points of their median distance from the others; the least one if most are equal."""
    others = distances[~np.eye(len(distances), dtype=bool)].reshape(len(distances), -1)
    return float(np.median(np.median(others, axis=1))) or float(distances[distances > 0].min())
