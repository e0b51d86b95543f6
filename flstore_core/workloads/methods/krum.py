"""Krum's scores and choices from squared distances (Blanchard et al. 2017, NeurIPS)."""

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64, squared_distances


def tolerated(clients: int, share: float) -> int:
    """Return f, how many of `clients` may be Byzantine: `share` of them, but never past Krum's bound 2 f + 2 < n."""
    return max(0, min(int(share * clients), (clients - 3) // 2))


def krum_scores(gram: Float64, byzantine: int) -> Float64:
    """Return each client's sum of squared distances to its n - f - 2 nearest others (one at the least), shape (n,)."""
    distances = squared_distances(gram)
    np.fill_diagonal(distances, np.inf)
    neighbours = max(1, len(gram) - byzantine - 2)
    return np.asarray(np.sort(distances, axis=1)[:, :neighbours].sum(axis=1))


def krum_choice(gram: Float64, byzantine: int, keep: int) -> NDArray[np.intp]:
    """Return the rows of the `keep` least scores, ascending; of equal ones the first."""
    return np.sort(np.argsort(krum_scores(gram, byzantine), kind="stable")[:keep])
