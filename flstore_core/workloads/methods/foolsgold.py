"""FoolsGold: clients whose updates resemble each other too much, as those of sybils do, lose their weight.

Fung, Yoon, Beschastnikh 2018, Mitigating Sybils in Federated Learning Poisoning, arXiv 1808.04866, algorithm 1.

Example: three clients, two of which always send the same update. The pair's greatest similarity with another client
is 1, so both weigh 0. The third is similar to nobody and weighs 1::

    >>> foolsgold(np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])).tolist()
    [0.0, 0.0, 1.0]

An honest client that happens to resemble a sybil is pardoned: its similarity with the sybil is scaled by the ratio of
its own greatest similarity to the sybil's.
"""

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, cosines


def foolsgold(gram: Float64) -> Float64:
    """Return the clients' weights from 0 to 1, shape (n,).

    Args:
        gram: inner products of the clients' deltas, each summed over the rounds looked at, shape (n, n).
    """
    similarities = cosines(gram)
    np.fill_diagonal(similarities, -np.inf)
    nearest = similarities.max(axis=1)
    # A client that resembles nobody (no positive similarity) needs no pardon. With a negative ratio, as in the paper's
    # text, its negative similarities would become positive and count against it.
    ratios = np.divide(nearest[:, None], nearest[None, :], out=np.ones_like(similarities), where=nearest[None, :] > 0)
    needs_pardon = (nearest[None, :] > nearest[:, None]) & (nearest[:, None] > 0)
    pardoned = np.where(needs_pardon, similarities * ratios, similarities)
    weights = np.clip(1.0 - pardoned.max(axis=1), 0.0, 1.0)
    if not weights.any():
        return np.zeros(len(gram))
    # The logit spreads what lies between: 0.38 and less becomes 0, 0.62 and more becomes 1. It is finite only within
    # (0, 1).
    scaled = np.clip(weights / weights.max(), 1e-12, 1 - 1e-12)
    return np.asarray(np.clip(np.log(scaled / (1.0 - scaled)) + 0.5, 0.0, 1.0))
