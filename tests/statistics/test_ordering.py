"""The order of a heat map."""

import numpy as np

from flstore_core.statistics.ordering import by_cluster


def test_clusters_stand_together_the_largest_first() -> None:
    similarity = np.eye(5)
    assert by_cluster(similarity, [1, 0, 1, 0, 1]) == [0, 2, 4, 1, 3]


def test_neighbours_within_a_cluster_are_the_most_similar() -> None:
    angles = np.deg2rad([0.0, 40.0, 10.0, 30.0])
    directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    order = by_cluster(directions @ directions.T, [0, 0, 0, 0])
    assert order[0] in (2, 3)  # the middle ones
    assert order in ([3, 1, 2, 0], [2, 0, 3, 1])


def test_every_row_has_one_place() -> None:
    similarity = np.random.default_rng(0).normal(size=(30, 30))
    assert sorted(by_cluster(similarity, [number % 4 - 1 for number in range(30)])) == list(range(30))
    assert by_cluster(np.zeros((0, 0)), []) == []
