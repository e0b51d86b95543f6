"""FLAME: the majority of clients by density clustering on cosine distances, and clipping to the median length.

Nguyen et al. 2022, FLAME: Taming Backdoors in Federated Learning, USENIX Security.

The paper runs HDBSCAN (Campello et al. 2013) with a least cluster size of more than half of the clients and a density
of one point. With that density HDBSCAN is single linkage: points are linked in the order of their distances, and
linked points form groups. Two groups of more than half cannot exist, so HDBSCAN's answer is the first group to grow
beyond half. That is computed here, without its library.

Example: unit vectors at 0, 10, 20, 90 and 180 degrees. The links in ascending order join 0-10 and 10-20, both of
cosine distance 1 - cos 10° = 0.015. Three of five are more than half, and the last two clients are not admitted::

    >>> angles = np.radians([0.0, 10.0, 20.0, 90.0, 180.0])
    >>> group = majority(np.cos(angles[:, None] - angles[None, :]))
    >>> group.admitted.tolist(), round(group.widest, 3)
    ([True, True, True, False, False], 0.015)
    >>> group.gap.round(3).tolist()
    [0.0, 0.0, 0.0, 0.658, 1.94]
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, cosines, inverse, norms


class Majority(NamedTuple):
    """The clients that FLAME admits.

    Attributes:
        admitted: whether each client is in the majority, shape (n,).
        gap: cosine distance to the nearest client of the majority, shape (n,); 0 for its members.
        widest: the longest link within the majority.
    """

    admitted: NDArray[np.bool_]
    gap: Float64
    widest: float


def majority(gram: Float64) -> Majority:
    """Return the first group of more than half of n clients that links of ascending cosine distance form.

    Args:
        gram: inner products of deltas, shape (n, n). A zero delta is at distance 1 from all others.
    """
    distances = 1.0 - cosines(gram)
    np.fill_diagonal(distances, 0.0)
    rows, columns = np.triu_indices(len(gram), 1)
    labels = np.arange(len(gram))
    widest, largest = 0.0, labels == 0
    for pair in np.argsort(distances[rows, columns], kind="stable").tolist():
        if 2 * largest.sum() > len(gram):
            break
        widest = float(distances[rows[pair], columns[pair]])
        labels[labels == labels[columns[pair]]] = labels[rows[pair]]
        largest = labels == np.bincount(labels).argmax()
    return Majority(largest, distances[:, largest].min(axis=1), widest)


def clip_factors(gram: Float64) -> Float64:
    """Return the factor that shortens each delta to the median length, from 0 to 1, shape (n,); 1 for shorter ones."""
    lengths = norms(gram)
    return np.where(lengths > 0, np.minimum(1.0, np.median(lengths) * inverse(lengths)), 1.0)
