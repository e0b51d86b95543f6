"""Average linkage against SciPy's and scikit-learn's trees."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.cluster.hierarchy import average, fcluster
from scipy.spatial.distance import pdist
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import adjusted_rand_score

from flstore_core.workloads.methods.agglomerative import average_linkage
from flstore_core.workloads.methods.geometry import squared_distances
from tests.workloads.methods.arrays import gram_of, seeds, vectors


@given(st.integers(3, 15), seeds)
@settings(max_examples=25)
def test_every_level_is_scipys(count: int, seed: int) -> None:
    rows = vectors(count, 4, seed)
    tree = average(pdist(rows))
    levels = list(average_linkage(squared_distances(gram_of(rows))))
    assert [len(np.unique(labels)) for labels in levels] == list(range(count, 0, -1))
    for labels in levels:
        reference = fcluster(tree, len(np.unique(labels)), "maxclust")
        assert adjusted_rand_score(reference, labels) == 1.0


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_a_level_is_scikit_learns(groups: int) -> None:
    rows = vectors(24, 8, groups) + 3 * vectors(groups, 8, 7)[np.arange(24) % groups]
    levels = list(average_linkage(squared_distances(gram_of(rows))))
    reference = AgglomerativeClustering(groups, linkage="average").fit(rows)
    assert adjusted_rand_score(reference.labels_, levels[24 - groups]) == 1.0


def test_levels_by_hand() -> None:
    """On a line at 0, 1, 3 and 7: 0-1 at distance 1, 3 to both at 2.5 on average, 7 to all at 17/3."""
    rows = np.array([[0.0], [1.0], [3.0], [7.0]])
    levels = [labels.tolist() for labels in average_linkage(squared_distances(gram_of(rows)))]
    assert levels == [[0, 1, 2, 3], [0, 0, 1, 2], [0, 0, 0, 1], [0, 0, 0, 0]]


def test_one_point_is_one_group() -> None:
    assert [labels.tolist() for labels in average_linkage(np.zeros((1, 1)))] == [[0]]


def test_the_distances_are_left_as_they_were() -> None:
    distances = squared_distances(gram_of(vectors(6, 3, 0)))
    before = distances.copy()
    list(average_linkage(distances))
    np.testing.assert_array_equal(distances, before)
