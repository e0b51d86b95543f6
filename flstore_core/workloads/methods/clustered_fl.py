"""Clustered federated learning: clients are split in two, again and again, while their updates disagree.

Sattler, Müller, Samek 2020, Clustered Federated Learning (arXiv 1910.01991).
"""

from collections import deque

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, cosines, norms
from flstore_core.workloads.methods.kmeans import Labels, by_appearance


def bipartition(similar: Float64) -> Labels:
    """Return clients in two groups, shape (n,), such that the greatest similarity across them is the least possible.

    Such a split keeps together all clients that are linked by similarities above that value. So it is single linkage,
    stopped at two groups (algorithm 1 of the paper).

    Args:
        similar: cosine similarities, shape (n, n).
    """
    labels = np.arange(len(similar))
    rows, columns = np.triu_indices(len(similar), 1)
    pairs = deque(np.argsort(-similar[rows, columns], kind="stable").tolist())
    while len(np.unique(labels)) > 2 and pairs:  # most similar pairs first; a pair within a group changes nothing
        pair = pairs.popleft()
        labels[labels == labels[columns[pair]]] = labels[rows[pair]]
    return by_appearance(labels)


def clustered_fl(gram: Float64, stationary: float, disagreement: float) -> Labels:
    """Return each client's group, shape (n,); groups are split while both of the paper's criteria hold.

    Args:
        gram: inner products of the clients' deltas, shape (n, n).
        stationary: a group is split only if its mean delta is shorter than this share of its longest delta, that is,
            if the group as a whole no longer moves (ε1).
        disagreement: a group is split only if sqrt((1 - α) / 2) is above this, where α is the greatest similarity
            across the split (γmax).
    """
    labels = np.zeros(len(gram), np.intp)
    groups = deque([np.arange(len(gram))])
    while groups:
        rows = groups.popleft()
        halves = _split(gram[np.ix_(rows, rows)], stationary, disagreement)
        if halves is not None:
            labels[rows[halves == 1]] = labels.max() + 1
            groups += [rows[halves == 0], rows[halves == 1]]
    return by_appearance(labels)


def _split(gram: Float64, stationary: float, disagreement: float) -> Labels | None:
    """Return the halves of a group, or None if it is not to be split; the mean delta's square is the Gram's mean."""
    longest = float(norms(gram).max())
    if len(gram) < 2 or not longest or np.sqrt(max(float(gram.mean()), 0.0)) >= stationary * longest:
        return None
    similar = cosines(gram)
    halves = bipartition(similar)
    across = float(similar[np.ix_(halves == 0, halves == 1)].max())
    return halves if np.sqrt((1 - across) / 2) > disagreement else None
