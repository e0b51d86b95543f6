"""FLAME's majority of clients by density clustering on cosine distances (Nguyen et al. 2022, USENIX Security).

The paper runs HDBSCAN (Campello et al. 2013) with clusters of more than half of the clients and density of one point.
No two such clusters can be: what HDBSCAN then yields is the first group of more than half that single linkage forms.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, cosines, inverse, norms


class Majority(NamedTuple):
    """What FLAME admits.

    Attributes:
        admitted: whether each client is of the majority, shape (n,).
        gap: cosine distance to the nearest client of the majority, 0 for its own, shape (n,).
        widest: the longest link that holds the majority together.
    """

    admitted: NDArray[np.bool_]
    gap: Float64
    widest: float


def majority(gram: Float64) -> Majority:
    """Return the first group of more than half of n clients that links of growing cosine distance hold together.

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
    """Return what each delta is shortened by to the median length, 0 to 1, shape (n,)."""
    lengths = norms(gram)
    return np.where(lengths > 0, np.minimum(1.0, np.median(lengths) * inverse(lengths)), 1.0)
