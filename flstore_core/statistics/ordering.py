"""The order of a heat map: rows of one cluster side by side, and neighbours as alike as can be.

Clusters stand in the order of their size, the largest first. Within each, the row most similar to the others comes
first, and each following one is the most similar to the one before it: a greedy walk. Gruvaeus and Wainer 1972, British
Journal of Mathematical and Statistical Psychology 25(2), has the idea, for trees.
"""

from collections.abc import Sequence

import numpy as np

from flstore_core.statistics.gram import Float64


def by_cluster(similarity: Float64, labels: Sequence[int]) -> list[int]:
    """Return the places of n rows in the order of a heat map.

    Args:
        similarity: shape (n, n), the larger the more alike.
        labels: of each row's cluster; a label below 0 is a cluster like the others.
    """
    rows = {label: [row for row, each in enumerate(labels) if each == label] for label in labels}
    largest_first = sorted(rows.values(), key=lambda cluster: (-len(cluster), cluster[0]))
    return [row for cluster in largest_first for row in _walk(similarity, cluster)]


def _walk(similarity: Float64, cluster: list[int]) -> list[int]:
    within = similarity[np.ix_(cluster, cluster)]
    places = [int(within.mean(axis=1).argmax())]
    left = np.ones(len(cluster), bool)
    for _ in cluster[1:]:
        left[places[-1]] = False
        places.append(int(np.where(left, within[places[-1]], -np.inf).argmax()))
    return [cluster[place] for place in places]
