"""The game of a round's direction, on the vectors themselves, and the closed form of its linear sister."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cosine

from flstore_core.workloads.methods.cosine_gradient_shapley import agreement, projections
from flstore_core.workloads.methods.shapley import exact
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors


def weights_of(clients: int, seed: int) -> Float64:
    weights = np.random.default_rng(seed).random(clients) + 0.1
    return np.asarray(weights / weights.sum())


@given(st.integers(1, 6), seeds)
def test_a_coalition_is_worth_its_cosine_similarity_with_everybody(clients: int, seed: int) -> None:
    rows, weights = vectors(clients, 5, seed), weights_of(clients, seed)
    members = np.random.default_rng(seed).random((4, clients)) < 0.6
    members[:, 0] = True
    worth = agreement(gram_of(rows), weights)(members)
    expected = [1 - cosine((weights * coalition) @ rows, weights @ rows) for coalition in members]
    assert worth.tolist() == pytest.approx(expected, abs=1e-6)


def test_everybody_is_worth_one_and_nobody_nothing() -> None:
    utility = agreement(gram_of(vectors(4, 6, 0)), weights_of(4, 1))
    assert utility(np.array([[True] * 4, [False] * 4])).tolist() == pytest.approx([1.0, 0.0])


def test_updates_that_cancel_are_worth_nothing_in_any_coalition() -> None:
    utility = agreement(gram_of([[1.0, 0], [-1.0, 0]]), np.array([0.5, 0.5]))
    assert utility(np.array([[True, True], [True, False], [False, True]])).tolist() == [0, 0, 0]


def test_a_coalition_whose_updates_cancel_is_worth_nothing_among_others_that_do_not() -> None:
    utility = agreement(gram_of([[1.0, 0], [-1.0, 0], [0.0, 2.0]]), np.full(3, 1 / 3))
    assert utility(np.array([[True, True, False], [False, False, True]])).tolist() == pytest.approx([0.0, 1.0])


@given(st.integers(1, 6), seeds)
@settings(max_examples=20)
def test_projections_are_the_shapley_values_of_the_projection_game(clients: int, seed: int) -> None:
    rows, weights = vectors(clients, 5, seed, shift=0.5), weights_of(clients, seed)
    whole = weights @ rows
    values = exact(lambda members: np.asarray(members @ (weights * (rows @ whole)) / (whole @ whole)), clients)
    np.testing.assert_allclose(projections(gram_of(rows), weights), values, atol=1e-9)


def test_projections_add_up_to_one_and_are_negative_for_who_pulls_back() -> None:
    found = projections(gram_of([[4.0, 0], [1.0, 0], [-1.0, 0]]), np.full(3, 1 / 3))
    assert found.tolist() == pytest.approx([1.0, 0.25, -0.25])


def test_projections_on_nothing_are_zero() -> None:
    assert projections(gram_of([[1.0, 0], [-1.0, 0]]), np.array([0.5, 0.5])).tolist() == [0.0, 0.0]
