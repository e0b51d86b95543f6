"""Krum: the client nearest to its n - f - 2 nearest others, or several of them (multi-Krum).

Blanchard, El Mhamdi, Guerraoui, Stainer 2017, Machine Learning with Adversaries: Byzantine Tolerant Gradient Descent
(NeurIPS).
"""

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, squared_distances


def tolerated(clients: int, share: float) -> int:
    """Return f, the number of `clients` that may be Byzantine: `share` of them, within Krum's bound 2f + 2 < n."""
    return max(0, min(int(share * clients), (clients - 3) // 2))


def krum_scores(gram: Float64, byzantine: int) -> Float64:
    """Return each client's sum of squared distances to its n - f - 2 (at least one) nearest others, shape (n,).

    Args:
        gram: inner products of the clients' deltas, shape (n, n).
        byzantine: f, how many clients may be Byzantine.
    """
    distances = squared_distances(gram)
    np.fill_diagonal(distances, np.inf)
    neighbours = max(1, len(gram) - byzantine - 2)
    return np.asarray(np.sort(distances, axis=1)[:, :neighbours].sum(axis=1))


def krum_choice(gram: Float64, byzantine: int, keep: int) -> NDArray[np.intp]:
    """Return the rows of the `keep` clients with the least scores, ascending; of equal scores, the first rows."""
    return np.sort(np.argsort(krum_scores(gram, byzantine), kind="stable")[:keep])
