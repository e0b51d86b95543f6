"""Clustering against scikit-learn, and on planted groups."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import AgglomerativeClustering, KMeans
from sklearn.datasets import make_blobs
from sklearn.metrics import adjusted_rand_score, silhouette_score

from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.workloads.clustering import Clustering
from flstore_core.workloads.shared.grouping import ClusteringParams
from tests.workloads.rounds import Index, ask, make_round

ASKED = Clustering()


def labels_of(answer: Any) -> list[int]:
    return list(answer.labels.values())


def blobs(groups: int, spread: float = 0.5, seed: int = 0) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    rows, truth = make_blobs(24, 30, centers=groups, cluster_std=spread, random_state=seed)
    return rows, truth


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_it_finds_what_scikit_learn_finds(groups: int) -> None:
    rows, _ = blobs(groups, 3.0)
    answer = ask(ASKED, make_round(rows), clusters=groups, metric="euclidean")
    reference = KMeans(groups, n_init=20, random_state=0).fit(rows)
    assert adjusted_rand_score(reference.labels_, labels_of(answer)) == 1.0
    assert answer.inertia == pytest.approx(reference.inertia_, rel=1e-5)
    assert answer.silhouette == pytest.approx(silhouette_score(rows, reference.labels_), abs=1e-5)


@pytest.mark.parametrize("groups", [2, 3, 4, 6])
def test_the_silhouette_finds_the_planted_number_of_groups(groups: int) -> None:
    rows, truth = blobs(groups)
    for metric in ("cosine", "euclidean"):
        answer = ask(ASKED, make_round(rows), metric=metric)
        assert len(answer.clusters) == groups
        assert adjusted_rand_score(truth, labels_of(answer)) == 1.0
        assert max(answer.tried, key=answer.tried.__getitem__) == str(groups)


def test_by_hand() -> None:
    answer = ask(ASKED, make_round(np.array([[5.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 9, 0]])))
    assert [cluster.clients for cluster in answer.clusters] == [["c0", "c2"], ["c1", "c3"]]
    assert answer.silhouette == pytest.approx(1.0)


def test_equal_updates_zero_updates_and_one_client_form_one_group() -> None:
    for rows in (np.ones((5, 6)), np.zeros((5, 6)), np.ones((1, 6)), np.eye(2, 6)):
        assert len(ask(ASKED, make_round(rows)).clusters) == 1
    assert len(ask(ASKED, make_round(np.ones((4, 6))), clusters=3).clusters) == 1


def test_more_groups_than_clients_is_refused() -> None:
    with pytest.raises(NotEnoughData, match=r"2 update\(s\) cannot form 3"):
        ask(ASKED, make_round(np.eye(2, 6)), clusters=3)


@given(st.integers(0, 10**6), st.integers(2, 5))
@settings(max_examples=20, deadline=None)
def test_slices_do_not_change_the_groups(seed: int, slices: int) -> None:
    rows, _ = blobs(3, seed=seed % 1000)
    one, many = ask(ASKED, make_round(rows)), ask(ASKED, make_round(rows, slices=slices))
    assert one.labels == many.labels
    assert one.inertia == pytest.approx(many.inertia, rel=1e-5, abs=1e-6)


def test_the_same_seed_gives_the_same_answer() -> None:
    rows = np.random.default_rng(0).standard_normal((20, 30))
    assert ask(ASKED, make_round(rows), seed=7) == ask(ASKED, make_round(rows), seed=7)


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_average_linkage_is_scikit_learns(groups: int) -> None:
    rows, _ = blobs(groups, 3.0)
    answer = ask(ASKED, make_round(rows), clusters=groups, metric="euclidean", method="agglomerative")
    reference = AgglomerativeClustering(groups, linkage="average").fit(rows)
    assert adjusted_rand_score(reference.labels_, labels_of(answer)) == 1.0


def test_clustered_fl_splits_groups_that_pull_apart_and_leaves_one_that_agrees() -> None:
    rng = np.random.default_rng(0)
    directions = np.array([[1.0, 0, 0, 0], [-1, 0, 0, 0]])[[0, 1, 0, 1, 0, 1]]
    apart = directions + 0.1 * rng.standard_normal((6, 4))
    assert labels_of(ask(ASKED, make_round(apart), method="cfl")) == [0, 1, 0, 1, 0, 1]
    along = np.array([1.0, 0, 0, 0]) + 0.1 * rng.standard_normal((6, 4))
    assert labels_of(ask(ASKED, make_round(along), method="cfl")) == [0] * 6
    assert labels_of(ask(ASKED, make_round(np.zeros((3, 4))), method="cfl")) == [0] * 3


@pytest.mark.parametrize("method", ["kmeans", "agglomerative"])
def test_inertia_is_the_sum_of_squared_distances_to_the_means(method: str) -> None:
    rows, _ = blobs(3, 3.0)
    answer = ask(ASKED, make_round(rows), clusters=3, metric="euclidean", method=method)
    labels = np.array(labels_of(answer))
    expected = sum(((rows[labels == g] - rows[labels == g].mean(axis=0)) ** 2).sum() for g in range(3))
    assert answer.inertia == pytest.approx(expected, rel=1e-5)


def test_the_documented_example() -> None:
    answer = ask(ASKED, make_round(np.array([[5.0, 0, 0], [0, 1, 0], [1, 0, 0], [0, 9, 0]])))
    assert answer.labels == {"c0": 0, "c1": 1, "c2": 0, "c3": 1}
    assert [cluster.silhouette for cluster in answer.clusters] == [1.0, 1.0]
    assert (answer.inertia, answer.silhouette) == (pytest.approx(0, abs=1e-6), 1.0)


@pytest.mark.parametrize("method", ["kmeans", "agglomerative", "cfl"])
@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_groups_partition_the_clients_and_each_tells_its_silhouette(method: str, metric: str) -> None:
    rows, _ = blobs(3, 2.0, seed=5)
    answer = ask(ASKED, make_round(rows, number=3), method=method, metric=metric)
    groups = [cluster.clients for cluster in answer.clusters]
    assert sorted(client for group in groups for client in group) == sorted(answer.labels)
    assert all(client in groups[label] for client, label in answer.labels.items())
    assert [min(int(client[1:]) for client in group) for group in groups] == sorted(
        min(int(client[1:]) for client in group) for group in groups
    )
    weights = [len(group) for group in groups]
    mean = np.average([cluster.silhouette for cluster in answer.clusters], weights=weights)
    assert answer.silhouette == pytest.approx(mean)
    assert (answer.round, bool(answer.tried)) == (3, method != "cfl")


def test_only_named_clients_are_grouped() -> None:
    rows = np.array([[5.0, 0, 0], [0, 1, 0], [1, 0, 0]])
    assert ask(ASKED, make_round(rows), clients=["c2", "c1"]).labels == {"c2": 0, "c1": 0}
    with pytest.raises(NotFound, match="client in round 0 'c7'"):
        ask(ASKED, make_round(rows), clients=["c7"])
    assert ASKED.select(ClusteringParams(), Index(committed=[1, 4])) == (4,)
