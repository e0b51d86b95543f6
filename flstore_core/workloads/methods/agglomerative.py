"""Agglomerative clustering of a few hundred points with average linkage (Sokal and Michener 1958)."""

from collections.abc import Iterator

import numpy as np

from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.methods.kmeans import Labels, by_appearance


def average_linkage(squared_distances: Float64) -> Iterator[Labels]:
    """Yield partitions of n points, from n groups down to 1; each merges the two groups with the least mean distance.

    Args:
        squared_distances: among n points, shape (n, n); the linkage averages their roots.
    """
    distances = np.sqrt(squared_distances)
    np.fill_diagonal(distances, np.inf)
    labels = np.arange(len(distances))
    sizes = np.ones(len(distances))
    yield labels.copy()
    for _ in range(len(distances) - 1):
        kept, merged = sorted(np.unravel_index(int(distances.argmin()), distances.shape))
        # The distances to the merged group are means over its points: those of both groups, weighted by their sizes.
        mean = (sizes[kept] * distances[kept] + sizes[merged] * distances[merged]) / (sizes[kept] + sizes[merged])
        distances[kept] = distances[:, kept] = mean
        distances[merged] = distances[:, merged] = np.inf
        distances[kept, kept] = np.inf
        sizes[kept] += sizes[merged]
        labels[labels == merged] = kept
        yield by_appearance(labels)
