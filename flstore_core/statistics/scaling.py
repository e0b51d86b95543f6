"""Classical scaling: points of a plane whose distances are nearly those between the rows of a Gram matrix.

Torgerson 1952, Multidimensional Scaling: I. Theory and Method, Psychometrika 17(4). With the means of rows and columns
taken off, a Gram matrix has the inner products of the centred rows; its two largest eigenvalues with their vectors are
the plane in which most of their spread lies. *Stress* says how well that does: 0 if all distances are kept, near 1 if
hardly any is (Kruskal 1964, Psychometrika 29(1), "stress-1", here over the raw distances).

Example, of three updates on a line, 0, 3 and 4 away from the first::

    gram [[0, 0, 0], [0, 9, 12], [0, 12, 16]]    points [[-2.33, 0], [0.67, 0], [1.67, 0]]    stress 0
"""

from dataclasses import dataclass

import numpy as np

from flstore_core.statistics.gram import Float64


@dataclass(frozen=True)
class Plane:
    """Points of a plane, shape (n, 2), centred, and the stress of their distances, 0 to about 1."""

    points: Float64
    stress: float


def scale(gram: Float64) -> Plane:
    """Return n points of the plane, by the inner products of n vectors.

    The signs of the axes are chosen so that the point that is farthest out on each has a positive coordinate.

    Args:
        gram: shape (n, n), finite and symmetric. Cosine similarities are the inner products of vectors of length 1.
    """
    centred = gram - gram.mean(axis=0) - gram.mean(axis=1)[:, None] + gram.mean() if len(gram) else gram
    values, vectors = np.linalg.eigh((centred + centred.T) / 2.0)
    strongest = vectors[:, ::-1][:, :2] * np.sqrt(np.maximum(values[::-1][:2], 0.0))
    points = np.zeros((len(gram), 2))
    points[:, : strongest.shape[1]] = strongest * _signs(strongest)
    return Plane(points, _stress(_distances(centred), _distances(points @ points.T)))


def _signs(points: Float64) -> Float64:
    """Return 1 or -1 for each axis: an eigenvector may come with either sign, and a picture should not flip."""
    if not len(points):
        return np.ones(points.shape[1])
    farthest = np.abs(points).argmax(axis=0)
    return np.where(points[farthest, np.arange(points.shape[1])] < 0.0, -1.0, 1.0)


def _distances(gram: Float64) -> Float64:
    squares = gram.diagonal()
    return np.sqrt(np.maximum(squares[:, None] + squares - 2.0 * gram, 0.0))


def _stress(wanted: Float64, reached: Float64) -> float:
    total = float(np.square(wanted).sum())
    return float(np.sqrt(np.square(wanted - reached).sum() / total)) if total > 0.0 else 0.0
