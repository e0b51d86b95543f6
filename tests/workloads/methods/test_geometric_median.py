"""Geometric medians against SciPy's minimiser and closed forms."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from flstore_core.workloads.methods.geometric_median import geometric_median
from tests.workloads.methods.arrays import Float64, gram_of, seeds, vectors

SMOOTHING = 1e-6


def median_of(rows: Float64, masses: Float64 | None = None) -> Float64:
    equal = np.full(len(rows), 1 / len(rows))
    return np.asarray(geometric_median(gram_of(rows), equal if masses is None else masses, SMOOTHING) @ rows)


@given(st.integers(2, 8), seeds)
@settings(max_examples=15)
def test_no_other_point_has_a_smaller_sum_of_distances(count: int, seed: int) -> None:
    rows = vectors(count, 3, seed)

    def total(point: Float64) -> float:
        return float(np.linalg.norm(rows - point, axis=1).sum())

    best = minimize(total, rows.mean(axis=0), method="Nelder-Mead", options={"xatol": 1e-9, "maxiter": 4000})
    assert total(median_of(rows)) <= best.fun * (1 + 1e-5)


def test_the_median_of_an_equilateral_triangle_is_its_centre() -> None:
    corners = np.array([[0.0, 0], [1, 0], [0.5, math.sqrt(3) / 2]])
    np.testing.assert_allclose(median_of(corners), corners.mean(axis=0), atol=1e-6)


def test_the_median_of_four_corners_is_where_the_diagonals_cross() -> None:
    """Fagnano's theorem: of a convex quadrilateral, the crossing of its diagonals."""
    corners = np.array([[0.0, 0], [4, 0], [3, 3], [0, 2]])
    np.testing.assert_allclose(median_of(corners), [1.0, 1.0] @ np.diag([4 / 3, 4 / 3]), atol=1e-5)


def test_a_corner_of_more_than_120_degrees_is_the_median_itself() -> None:
    rows = np.array([[0.0, 0], [1, 0.1], [-1, 0.1]])
    np.testing.assert_allclose(median_of(rows), [0, 0], atol=1e-4)


def test_on_a_line_the_median_is_the_middle_value() -> None:
    np.testing.assert_allclose(median_of(np.array([[0.0], [1.0], [2.0], [50.0], [9000.0]])), [2.0], atol=1e-3)


def test_a_point_with_more_than_half_of_the_mass_is_the_median() -> None:
    rows = np.array([[0.0, 0], [1, 0], [0, 1]])
    np.testing.assert_allclose(median_of(rows, np.array([0.6, 0.2, 0.2])), [0, 0], atol=1e-4)


@pytest.mark.parametrize("far", [1e3, 1e6])
def test_less_than_half_of_the_points_cannot_carry_it_away(far: float) -> None:
    rows = np.vstack([vectors(7, 4, 0), np.full((3, 4), far)])
    assert np.linalg.norm(median_of(rows)) < 3


@given(st.integers(2, 8), seeds)
def test_weights_are_a_mean(count: int, seed: int) -> None:
    weights = geometric_median(gram_of(vectors(count, 3, seed)), np.full(count, 1 / count), SMOOTHING)
    assert weights.sum() == pytest.approx(1)
    assert (weights >= 0).all()


@given(st.integers(2, 7), seeds, st.floats(0.01, 100), st.floats(-3, 3))
@settings(max_examples=20)
def test_the_median_moves_and_grows_with_the_points(count: int, seed: int, factor: float, shift: float) -> None:
    rows = vectors(count, 3, seed)
    moved = median_of(factor * (rows + shift))
    np.testing.assert_allclose(moved, factor * (median_of(rows) + shift), rtol=1e-3, atol=2e-3 * factor)


def test_equal_points_keep_their_masses() -> None:
    masses = np.array([0.5, 0.3, 0.2])
    assert geometric_median(np.ones((3, 3)), masses, SMOOTHING).tolist() == masses.tolist()


def test_mostly_equal_points_are_the_median() -> None:
    rows = np.vstack([np.ones((4, 2)), [[9.0, 9.0]]])
    np.testing.assert_allclose(median_of(rows), [1, 1], atol=1e-3)
