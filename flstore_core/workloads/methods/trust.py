"""How far updates are to be trusted, as weights from 0 to 1: FoolsGold and FLTrust, from Gram matrices."""

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, cosines


def foolsgold(gram: Float64) -> Float64:
    """Return FoolsGold's weights, shape (n,): clients that resemble each other too much lose theirs.

    Fung, Yoon, Beschastnikh 2018, Mitigating Sybils in Federated Learning Poisoning, arXiv 1808.04866, algorithm 1.

    Args:
        gram: inner products of the clients' summed deltas, shape (n, n).
    """
    similar = cosines(gram)
    np.fill_diagonal(similar, -np.inf)
    closest = similar.max(axis=1)
    ratios = np.divide(closest[:, None], closest[None, :], out=np.ones_like(similar), where=closest[None, :] > 0)
    pardoned = np.where(closest[None, :] > np.maximum(closest[:, None], 0.0), similar * ratios, similar)
    weights = np.clip(1.0 - pardoned.max(axis=1), 0.0, 1.0)
    if not weights.any():
        return np.zeros(len(gram))
    scaled = np.clip(weights / weights.max(), 1e-12, 1 - 1e-12)
    return np.asarray(np.clip(np.log(scaled / (1.0 - scaled)) + 0.5, 0.0, 1.0))


def fltrust(gram: Float64, root: int) -> Float64:
    """Return FLTrust's scores, shape (n,): the positive part of each delta's cosine similarity with the root's.

    Cao et al. 2021, FLTrust: Byzantine-robust Federated Learning via Trust Bootstrapping, NDSS (arXiv 2012.13995).

    Args:
        gram: inner products of deltas, shape (n, n).
        root: row of the update that the server trained itself, on clean data.
    """
    return np.asarray(np.maximum(cosines(gram)[root], 0.0))
