"""The choice of the number of groups, and what the parameters refuse."""

import numpy as np
import pytest
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score

from flstore_core.errors import NotEnoughData
from flstore_core.workloads.shared.grouping import ClusteringParams, group_by_updates
from tests.workloads.methods.arrays import Float64, gram_of, vectors


def planted(groups: int, clients: int = 18) -> Float64:
    """Return clients in groups that lie far apart."""
    return vectors(clients, 10, groups) + 12 * vectors(groups, 10, 50 + groups)[np.arange(clients) % groups]


@pytest.mark.parametrize("method", ["kmeans", "agglomerative"])
@pytest.mark.parametrize("groups", [2, 3, 5])
def test_the_best_silhouette_finds_the_planted_number(method: str, groups: int) -> None:
    rows = planted(groups)
    params = ClusteringParams(method=method, most=7)  # type: ignore[arg-type]
    partition, tried = group_by_updates(gram_of(rows), params)
    assert adjusted_rand_score(np.arange(18) % groups, partition.labels) == 1.0
    assert list(tried) == [2, 3, 4, 5, 6, 7]
    assert max(tried, key=tried.__getitem__) == groups
    assert tried[groups] == pytest.approx(silhouette_score(rows, partition.labels), abs=1e-6)


@pytest.mark.parametrize("method", ["kmeans", "agglomerative"])
def test_a_given_number_is_kept_and_nothing_else_is_tried(method: str) -> None:
    params = ClusteringParams(method=method, clusters=4)  # type: ignore[arg-type]
    partition, tried = group_by_updates(gram_of(vectors(9, 5, 0)), params)
    assert (len(set(partition.labels.tolist())), tried) == (4, {})


def test_the_inertia_is_scikit_learns() -> None:
    rows = planted(3)
    partition, _ = group_by_updates(gram_of(rows), ClusteringParams(clusters=3))
    reference = KMeans(3, n_init=10, random_state=0).fit(rows)
    assert partition.inertia == pytest.approx(reference.inertia_, rel=1e-5)


def test_clustered_fl_finds_its_number_by_itself() -> None:
    rows = np.array([[1.0, 0.1], [-1, 0.1], [1, -0.1], [-1, -0.1]])
    partition, tried = group_by_updates(gram_of(rows), ClusteringParams(method="cfl"))
    assert (partition.labels.tolist(), tried) == ([0, 1, 0, 1], {})
    assert partition.inertia == pytest.approx(4 * 0.01)


@pytest.mark.parametrize("rows", [np.ones((5, 3)), np.zeros((5, 3)), np.ones((1, 3)), np.eye(2)])
def test_where_no_split_has_a_positive_silhouette_all_are_one_group(rows: Float64) -> None:
    partition, _ = group_by_updates(gram_of(rows), ClusteringParams())
    assert set(partition.labels.tolist()) == {0}


def test_more_groups_than_clients_are_refused() -> None:
    with pytest.raises(NotEnoughData, match=r"2 update\(s\) cannot form 3 clusters"):
        group_by_updates(np.eye(2), ClusteringParams(clusters=3))


def test_the_seed_decides_the_answer() -> None:
    gram = gram_of(vectors(20, 4, 3))
    one, same = (group_by_updates(gram, ClusteringParams(seed=7, restarts=1)) for _ in range(2))
    assert one[0].labels.tolist() == same[0].labels.tolist()
    assert one[1] == same[1]
