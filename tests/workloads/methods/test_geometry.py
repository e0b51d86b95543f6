"""Lengths, angles and distances from Gram matrices, against the vectors themselves."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist, pdist, squareform
from scipy.stats import median_abs_deviation
from sklearn.metrics.pairwise import cosine_similarity

from flstore_core.workloads.methods.geometry import (
    RESOLUTION,
    alignments,
    cosines,
    inverse,
    norms,
    robust_scores,
    similarity_to,
    squared_distances,
    stacked_alignments,
)
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors

SIZES = st.integers(1, 8)


@given(SIZES, seeds)
def test_lengths_are_those_of_the_vectors(count: int, seed: int) -> None:
    rows = vectors(count, 5, seed)
    np.testing.assert_allclose(norms(gram_of(rows)), np.linalg.norm(rows, axis=1))


def test_lengths_of_a_stack_are_those_of_each_matrix() -> None:
    grams = [gram_of(vectors(3, 5, seed)) for seed in range(4)]
    np.testing.assert_array_equal(norms(np.stack(grams)), np.stack([norms(gram) for gram in grams]))


def test_a_square_that_rounding_made_negative_has_length_zero() -> None:
    assert norms(np.array([[-1e-20, 0.0], [0.0, 4.0]])).tolist() == [0.0, 2.0]


@given(SIZES, seeds)
def test_cosines_are_scikit_learns(count: int, seed: int) -> None:
    rows = vectors(count, 5, seed)
    np.testing.assert_allclose(cosines(gram_of(rows)), cosine_similarity(rows), atol=1e-12)


def test_a_zero_vector_resembles_nothing_not_even_itself() -> None:
    found = cosines(gram_of([[0.0, 0.0], [3.0, 4.0]]))
    assert found.tolist() == [[0.0, 0.0], [0.0, 1.0]]


def test_cosines_never_leave_their_range_where_rounding_would() -> None:
    gram = np.array([[1.0, 1.0000001], [1.0000001, 1.0]])
    assert cosines(gram).tolist() == [[1.0, 1.0], [1.0, 1.0]]
    assert cosines(-gram + 2 * np.eye(2)).min() == -1.0


@given(SIZES, seeds, st.floats(1e-3, 1e3))
def test_cosines_ignore_length(count: int, seed: int, factor: float) -> None:
    rows = vectors(count, 5, seed)
    scaled = rows * np.linspace(1, factor, count)[:, None]
    np.testing.assert_allclose(cosines(gram_of(scaled)), cosines(gram_of(rows)), atol=1e-9)


@given(SIZES, seeds)
def test_squared_distances_are_scipys(count: int, seed: int) -> None:
    rows = vectors(count, 5, seed)
    np.testing.assert_allclose(squared_distances(gram_of(rows)), squareform(pdist(rows, "sqeuclidean")), atol=1e-6)


def test_distances_below_the_resolution_are_zero_and_those_above_are_kept() -> None:
    def apart(share: float) -> float:
        step = math.sqrt(2 * share)
        return float(squared_distances(gram_of([[1.0, 0.0], [1.0, step]]))[0, 1])

    assert apart(0.9 * RESOLUTION) == 0.0
    assert apart(1.2 * RESOLUTION) == pytest.approx(2.4 * RESOLUTION, rel=1e-6)


@given(SIZES, seeds)
def test_similarity_to_a_weighted_sum_is_that_of_the_vectors(count: int, seed: int) -> None:
    rows, weights = vectors(count, 5, seed), np.random.default_rng(seed).random(count)
    expected = cosine_similarity(rows, (weights @ rows)[None, :])[:, 0]
    np.testing.assert_allclose(similarity_to(gram_of(rows), weights), expected, atol=1e-9)


def test_every_vector_may_have_a_sum_of_its_own() -> None:
    rows, weights = vectors(4, 6, 0), vectors(4, 4, 1)
    expected = [1 - cdist(rows[[row]], (weights[row] @ rows)[None, :], "cosine")[0, 0] for row in range(4)]
    np.testing.assert_allclose(similarity_to(gram_of(rows), weights), expected, atol=1e-9)


def test_similarity_to_a_sum_that_cancels_is_zero() -> None:
    assert similarity_to(gram_of([[1.0, 0], [-1, 0], [0, 0]]), np.array([0.5, 0.5, 0.0])).tolist() == [0, 0, 0]


def alignments_on_vectors(rows: Float64, sweeps: int) -> list[float]:
    """Return alignments from the vectors themselves, one client and one sweep at a time."""
    lengths = np.linalg.norm(rows, axis=1)
    units = rows / np.where(lengths > 0, lengths, 1)[:, None]
    weights, aligned = np.ones(len(rows)), np.zeros(len(rows))
    for _ in range(1 + sweeps):
        if not weights.any():
            break
        before = weights.copy()
        for row, unit in enumerate(units):
            direction = sum((before[other] * units[other] for other in range(len(units)) if other != row), np.zeros(5))
            length = np.linalg.norm(direction)
            aligned[row] = unit @ direction / length if length > 1e-12 else 0.0
        weights = np.maximum(aligned, 0)
    return [float(value) for value in aligned]


@given(st.integers(2, 7), seeds, st.integers(0, 3))
def test_alignments_are_those_of_the_vectors(count: int, seed: int, sweeps: int) -> None:
    rows = vectors(count, 5, seed, shift=0.5)
    np.testing.assert_allclose(alignments(gram_of(rows), sweeps), alignments_on_vectors(rows, sweeps), atol=1e-9)


@given(st.integers(2, 7), seeds, st.floats(1e-3, 1e3))
def test_length_gives_no_influence_on_the_direction(count: int, seed: int, factor: float) -> None:
    rows = vectors(count, 5, seed, shift=0.5)
    longer = rows * np.where(np.arange(count) == 0, factor, 1.0)[:, None]
    np.testing.assert_allclose(alignments(gram_of(longer)), alignments(gram_of(rows)), atol=1e-7)


@given(st.integers(2, 7), seeds)
def test_alignments_do_not_depend_on_the_order_of_clients(count: int, seed: int) -> None:
    rows = vectors(count, 5, seed, shift=0.5)
    order = np.random.default_rng(seed).permutation(count)
    np.testing.assert_allclose(alignments(gram_of(rows[order])), alignments(gram_of(rows))[order], atol=1e-9)


def test_one_that_points_away_does_not_turn_the_direction() -> None:
    rows = np.array([[1.0, 0.1], [1.0, -0.1], [1.0, 0.0], [-5.0, 0.0]])
    assert np.round(alignments(gram_of(rows)), 2).tolist() == [0.99, 0.99, 1.0, -1.0]


def test_alone_there_is_nothing_to_be_aligned_with() -> None:
    assert alignments(gram_of([[3.0, 4.0]])).tolist() == [0.0]
    assert alignments(np.zeros((3, 3))).tolist() == [0.0, 0.0, 0.0]


def test_matrices_of_any_sizes_keep_their_order() -> None:
    grams = [gram_of(vectors(count, 5, seed)) for seed, count in enumerate([3, 5, 3, 1, 5])]
    for found, gram in zip(stacked_alignments(grams), grams, strict=True):
        np.testing.assert_allclose(found, alignments(gram), atol=1e-12)
    assert stacked_alignments([]) == []


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30))
def test_robust_scores_are_distances_from_the_median_in_scipys_deviation(values: list[float]) -> None:
    array = np.array(values)
    deviation = max(median_abs_deviation(array) * 1.4826, 1.0)
    np.testing.assert_allclose(robust_scores(array, floor=1.0), (array - np.median(array)) / deviation)


def test_scores_refer_to_the_values_that_are_flagged() -> None:
    values = np.array([1.0, 2.0, 3.0, 100.0, 200.0])
    flags = np.array([True, True, True, False, False])
    assert robust_scores(values, flags).tolist() == pytest.approx(
        [-1 / 1.4826, 0, 1 / 1.4826, 98 / 1.4826, 198 / 1.4826]
    )


def test_equal_values_are_not_told_apart_below_the_floor() -> None:
    assert robust_scores(np.array([5.0, 5.0, 5.0, 5.1]), floor=0.1).tolist() == pytest.approx([0, 0, 0, 1])


def test_the_inverse_of_zero_is_zero() -> None:
    assert inverse(np.array([0.0, 2.0, 0.5])).tolist() == [0.0, 0.5, 2.0]
