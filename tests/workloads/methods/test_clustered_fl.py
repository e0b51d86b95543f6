"""Clustered FL's bipartition against all splits, and its two criteria on planted groups."""

from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core.workloads.methods.clustered_fl import bipartition, clustered_fl
from flstore_core.workloads.methods.geometry import cosines
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors


def across(similar: Float64, labels: NDArray[np.intp]) -> float:
    return float(similar[np.ix_(labels == 0, labels == 1)].max())


@given(st.integers(2, 7), seeds)
@settings(max_examples=25)
def test_no_split_has_less_similarity_across(count: int, seed: int) -> None:
    similar = cosines(gram_of(vectors(count, 3, seed)))
    splits = [np.array([0, *split]) for split in product((0, 1), repeat=count - 1) if any(split)]
    assert across(similar, bipartition(similar)) == pytest.approx(min(across(similar, split) for split in splits))


def test_a_chain_of_likes_stays_together() -> None:
    """At 0, 30, 60 and 150 degrees: the ends of the chain are unlike, but each link is 30 degrees."""
    angles = np.radians([0.0, 30.0, 60.0, 150.0])
    assert bipartition(np.cos(angles[:, None] - angles[None, :])).tolist() == [0, 0, 0, 1]


def test_two_clients_are_always_parted_and_one_is_not() -> None:
    assert bipartition(np.ones((2, 2))).tolist() == [0, 1]
    assert bipartition(np.ones((1, 1))).tolist() == [0]


def opposed(groups: int, each: int, seed: int = 0) -> Float64:
    """Return clients in groups that pull along different axes, so that the mean of all is short."""
    axes = np.eye(groups) - 1 / groups
    return np.repeat(axes, each, axis=0) + 0.05 * vectors(groups * each, groups, seed)


@pytest.mark.parametrize("groups", [2, 3, 4])
def test_groups_that_pull_apart_are_split_until_each_agrees(groups: int) -> None:
    found = clustered_fl(gram_of(opposed(groups, 3)), stationary=0.7, disagreement=0.3)
    assert found.tolist() == np.repeat(np.arange(groups), 3).tolist()


def test_clients_that_agree_stay_together() -> None:
    rows = np.array([1.0, 0, 0]) + 0.05 * vectors(6, 3, 1)
    assert clustered_fl(gram_of(rows), stationary=0.4, disagreement=0.5).tolist() == [0] * 6


def test_a_group_that_still_moves_is_not_split() -> None:
    rows = opposed(2, 3)
    mean = np.linalg.norm(rows.mean(axis=0)) / np.linalg.norm(rows, axis=1).max()
    assert clustered_fl(gram_of(rows), stationary=0.9 * mean, disagreement=0.3).tolist() == [0] * 6
    assert clustered_fl(gram_of(rows), stationary=1.1 * mean, disagreement=0.3).tolist() == [0, 0, 0, 1, 1, 1]


def test_a_split_needs_as_much_disagreement_as_is_asked_for() -> None:
    """Opposite groups differ by sqrt((1 - -1) / 2) = 1, and groups at right angles by sqrt(1/2)."""
    rows = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 0.0], [-1.0, 0.0]])
    right_angles = gram_of([[1.0, 0], [0, 1.0]])
    assert clustered_fl(right_angles, stationary=0.8, disagreement=0.70).tolist() == [0, 1]
    assert clustered_fl(right_angles, stationary=0.8, disagreement=0.71).tolist() == [0, 0]
    assert len(set(clustered_fl(gram_of(rows), stationary=0.5, disagreement=0.5).tolist())) > 1


def test_zero_updates_and_single_clients_form_one_group() -> None:
    assert clustered_fl(np.zeros((3, 3)), 0.4, 0.5).tolist() == [0, 0, 0]
    assert clustered_fl(np.ones((1, 1)), 1.0, 0.0).tolist() == [0]
