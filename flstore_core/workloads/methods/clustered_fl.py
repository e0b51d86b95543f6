"""Clustered FL's split of clients in two where their updates disagree (Sattler et al. 2020, arXiv 1910.01991)."""

from collections import deque

import numpy as np

from flstore_core.workloads.methods.geometry import Float64, cosines, norms
from flstore_core.workloads.methods.kmeans import Labels, by_appearance


def bipartition(similar: Float64) -> Labels:
    """Return clients in two groups, shape (n,), so that the greatest similarity across them is the least possible.

    Such a split keeps together whatever is linked by a similarity above that value: it is single linkage, stopped at
    two groups (algorithm 1 of the paper).
    """
    labels = np.arange(len(similar))
    rows, columns = np.triu_indices(len(similar), 1)
    pairs = deque(np.argsort(-similar[rows, columns], kind="stable").tolist())
    while len(np.unique(labels)) > 2 and pairs:
        pair = pairs.popleft()
        labels[labels == labels[columns[pair]]] = labels[rows[pair]]
    return by_appearance(labels)


def clustered_fl(gram: Float64, stationary: float, disagreement: float) -> Labels:
    """Return groups of clients, split again and again while the paper's criteria hold, shape (n,).

    Args:
        stationary: a group is split only if its mean delta is shorter than this share of its longest delta: it has
            come to rest as a whole (ε1),
        disagreement: and only if sqrt((1 - α) / 2) is above this, for α the similarity across the best split (γmax).
    """
    labels = np.zeros(len(gram), np.intp)
    waiting = deque([np.arange(len(gram))])
    while waiting:
        rows = waiting.popleft()
        halves = _split(gram[np.ix_(rows, rows)], stationary, disagreement)
        if halves is not None:
            labels[rows[halves == 1]] = labels.max() + 1
            waiting += [rows[halves == 0], rows[halves == 1]]
    return by_appearance(labels)


def _split(gram: Float64, stationary: float, disagreement: float) -> Labels | None:
    longest = float(norms(gram).max())
    if len(gram) < 2 or not longest or np.sqrt(max(float(gram.mean()), 0.0)) >= stationary * longest:
        return None
    similar = cosines(gram)
    halves = bipartition(similar)
    across = float(similar[np.ix_(halves == 0, halves == 1)].max())
    return halves if np.sqrt((1 - across) / 2) > disagreement else None
