"""k-means from distances alone, against scikit-learn on the points themselves."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples

from flstore_core.workloads.methods.geometry import squared_distances
from flstore_core.workloads.methods.kmeans import (
    by_appearance,
    estimate_nbytes,
    kmeans,
    mean_silhouettes,
    measure_partition,
    silhouettes,
    silhouettes_or_zeros,
)
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors


def distances_of(rows: Float64) -> Float64:
    return squared_distances(gram_of(rows))


def inertia_of(rows: Float64, labels: list[int]) -> float:
    """Return the sum of squared distances to the groups' means, from the points."""
    groups = [rows[np.array(labels) == label] for label in set(labels)]
    return sum(float(((group - group.mean(axis=0)) ** 2).sum()) for group in groups)


@pytest.mark.parametrize("groups", [2, 3, 5])
def test_groups_that_lie_apart_are_found_as_scikit_learn_finds_them(groups: int) -> None:
    rows = vectors(30, 6, groups) + 8 * vectors(groups, 6, 99)[np.arange(30) % groups]
    found = kmeans(distances_of(rows), [groups], 10, np.random.default_rng(0))[groups]
    reference = KMeans(groups, n_init=10, random_state=0).fit(rows)
    assert adjusted_rand_score(reference.labels_, found.labels) == 1.0
    assert found.inertia == pytest.approx(reference.inertia_, rel=1e-6)


@given(st.integers(3, 7), st.integers(2, 3), seeds)
@settings(max_examples=25)
def test_with_enough_restarts_a_few_points_are_split_as_well_as_can_be(count: int, groups: int, seed: int) -> None:
    rows = vectors(count, 2, seed)
    best = min(inertia_of(rows, list(labels)) for labels in product(range(groups), repeat=count))
    found = kmeans(distances_of(rows), [groups], 60, np.random.default_rng(0))[groups]
    assert found.inertia == pytest.approx(best, rel=1e-4, abs=1e-6)


@given(st.integers(2, 9), seeds)
@settings(max_examples=25)
def test_the_inertia_is_that_of_the_labels_and_falls_with_more_groups(count: int, seed: int) -> None:
    rows = vectors(count, 3, seed)
    found = kmeans(distances_of(rows), [1, 2], 10, np.random.default_rng(1))
    for partition in found.values():
        assert partition.inertia == pytest.approx(inertia_of(rows, partition.labels.tolist()), rel=1e-5, abs=1e-6)
    assert found[2].inertia <= found[1].inertia


def test_every_number_of_groups_is_answered_alike_alone_and_together() -> None:
    distances = distances_of(vectors(12, 4, 0))
    together = kmeans(distances, [1, 2, 3], 8, np.random.default_rng(3))
    assert {count: len(set(partition.labels.tolist())) for count, partition in together.items()} == {1: 1, 2: 2, 3: 3}


def test_equal_points_form_fewer_groups_than_wanted() -> None:
    rows = np.repeat(np.array([[0.0, 1.0], [5.0, 5.0]]), 3, axis=0)
    found = kmeans(distances_of(rows), [4], 5, np.random.default_rng(0))[4]
    assert found.labels.tolist() == [0, 0, 0, 1, 1, 1]
    assert found.inertia == pytest.approx(0.0, abs=1e-9)


def test_as_many_groups_as_points_leave_nothing_over() -> None:
    found = kmeans(distances_of(vectors(5, 3, 1)), [5], 3, np.random.default_rng(0))[5]
    assert sorted(found.labels.tolist()) == [0, 1, 2, 3, 4]


def test_a_group_that_loses_all_its_points_starts_anew() -> None:
    """From these seeds, the points of one of five groups all move to the others in the course of the iterations."""
    places = "5,10 5,2 8,0 5,3 11,5 0,7 10,5 0,8 3,0 10,0 2,0 2,2 2,7"
    rows = np.array([[float(x) for x in place.split(",")] for place in places.split()])
    found = kmeans(distances_of(rows), [5], 1, np.random.default_rng(0))[5]
    assert len(set(found.labels.tolist())) == 5
    assert found.inertia == pytest.approx(inertia_of(rows, found.labels.tolist()))


def test_the_same_seed_gives_the_same_partition_and_another_order_the_same_groups() -> None:
    rows = vectors(20, 5, 3) + 6 * vectors(3, 5, 9)[np.arange(20) % 3]
    order = np.random.default_rng(0).permutation(20)
    one, two = (kmeans(distances_of(rows), [3], 10, np.random.default_rng(5))[3] for _ in range(2))
    shuffled = kmeans(distances_of(rows[order]), [3], 10, np.random.default_rng(5))[3]
    assert one.labels.tolist() == two.labels.tolist()
    assert adjusted_rand_score(one.labels[order], shuffled.labels) == 1.0


@given(st.integers(4, 12), seeds)
def test_silhouettes_are_scikit_learns(count: int, seed: int) -> None:
    rows, labels = vectors(count, 3, seed), np.random.default_rng(seed).integers(0, 3, count)
    labels[:3] = [0, 1, 2]
    np.testing.assert_allclose(silhouettes(distances_of(rows), labels), silhouette_samples(rows, labels), atol=1e-6)


def test_a_point_alone_in_its_group_has_silhouette_zero() -> None:
    distances = distances_of(np.array([[0.0], [1.0], [5.0]]))
    assert silhouettes(distances, np.array([0, 0, 1])).tolist() == pytest.approx([0.8, 0.75, 0.0])


def test_equal_points_in_two_groups_are_in_between() -> None:
    assert silhouettes(np.zeros((4, 4)), np.array([0, 0, 1, 1])).tolist() == [0.0] * 4


def test_a_single_group_has_no_silhouettes() -> None:
    distances = distances_of(vectors(5, 3, 0))
    assert silhouettes_or_zeros(distances, np.zeros(5, np.intp)).tolist() == [0.0] * 5
    two = np.array([0, 0, 1, 1, 1])
    np.testing.assert_array_equal(silhouettes_or_zeros(distances, two), silhouettes(distances, two))


def test_means_of_silhouettes_come_in_the_order_of_partitions() -> None:
    distances = distances_of(vectors(6, 3, 0))
    labels = [np.zeros(6, np.intp), np.array([0, 0, 0, 1, 1, 1]), np.array([0, 1, 2, 0, 1, 2])]
    found = mean_silhouettes(distances, [measure_partition(distances, each) for each in labels])
    assert found == pytest.approx([0.0, *(float(silhouettes(distances, each).mean()) for each in labels[1:])])
    assert mean_silhouettes(distances, []) == []


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), seeds)
def test_a_partition_is_measured_by_distances_to_its_means(labels: list[int], seed: int) -> None:
    rows = vectors(len(labels), 3, seed)
    measured = measure_partition(distances_of(rows), np.array(labels))
    assert measured.inertia == pytest.approx(inertia_of(rows, labels), rel=1e-6, abs=1e-6)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=12))
def test_groups_are_numbered_by_their_first_points(labels: list[int]) -> None:
    numbers: dict[int, int] = {}
    assert by_appearance(np.array(labels)).tolist() == [numbers.setdefault(label, len(numbers)) for label in labels]


def test_runs_in_blocks_are_the_same_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    points = np.random.default_rng(1).normal(size=(30, 3))
    distances = np.square(points[:, None] - points[None]).sum(axis=2)
    whole = kmeans(distances, [1, 3, 7], 8, np.random.default_rng(0))
    monkeypatch.setattr("flstore_core.workloads.methods.kmeans._BLOCK", 1)
    blocks = kmeans(distances, [1, 3, 7], 8, np.random.default_rng(0))
    for count, partition in whole.items():
        assert blocks[count].inertia == pytest.approx(partition.inertia, rel=1e-12)
        assert blocks[count].labels.tolist() == partition.labels.tolist()


def test_many_groups_and_restarts_hold_no_more_than_was_estimated() -> None:
    """59 numbers of groups with 20 restarts each: side by side all runs would hold four times as much."""
    distances = distances_of(np.random.default_rng(1).normal(size=(60, 3)))
    tracemalloc.start()
    try:
        kmeans(distances, range(1, 60), 20, np.random.default_rng(0))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak <= estimate_nbytes(60, range(1, 60), 20) < 80 * 2**20
