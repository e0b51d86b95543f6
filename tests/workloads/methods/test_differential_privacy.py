"""Clipping by the vectors, ε by SciPy's distribution functions, and noise by its distribution and its seed."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import log_ndtr
from scipy.stats import kstest

from flstore_core.workloads.methods.coordinatewise import combine_rows
from flstore_core.workloads.methods.differential_privacy import (
    NoisySum,
    clipping_weights,
    gaussian_epsilon,
    gaussian_noise,
)
from tests.workloads.methods.arrays import cut, gram_of, rows_of, seeds, vectors


@given(st.integers(1, 8), seeds, st.floats(0.1, 10))
def test_weights_make_the_mean_of_the_clipped_deltas(clients: int, seed: int, clip: float) -> None:
    rows = vectors(clients, 5, seed)
    clipped = rows * np.minimum(1, clip / np.linalg.norm(rows, axis=1))[:, None]
    np.testing.assert_allclose(clipping_weights(gram_of(rows), clip) @ rows, clipped.mean(axis=0), atol=1e-12)


def test_a_zero_delta_is_not_clipped() -> None:
    assert clipping_weights(np.zeros((4, 4)), 1.0).tolist() == [0.25] * 4


def least_delta(multiplier: float, epsilon: float) -> float:
    """Balle and Wang 2018, theorem 8, by SciPy: Φ(1/2m - εm) - e^ε Φ(-1/2m - εm)."""
    half = 1 / (2 * multiplier)
    upper, lower = log_ndtr(half - epsilon * multiplier), log_ndtr(-half - epsilon * multiplier)
    return math.exp(upper) - math.exp(min(epsilon + lower, 0.0))


@given(st.floats(0.02, 50), st.floats(1e-12, 0.4))
def test_epsilon_is_the_least_that_keeps_delta(multiplier: float, delta: float) -> None:
    epsilon = gaussian_epsilon(multiplier, delta)
    assert least_delta(multiplier, epsilon) <= delta * (1 + 1e-6)
    if epsilon > 1e-6:
        assert least_delta(multiplier, epsilon * 0.999) > delta * (1 - 1e-6)


@pytest.mark.parametrize(("multiplier", "delta"), [(0.5, 1e-5), (1.0, 1e-5), (4.0, 1e-3)])
def test_epsilon_by_integration_of_the_two_densities(multiplier: float, delta: float) -> None:
    """δ(ε) is the mass that one Gaussian has over e^ε times the other, shifted by one sensitivity."""
    epsilon = gaussian_epsilon(multiplier, delta)
    points = np.linspace(-60 * multiplier, 60 * multiplier + 1, 400_001)
    loss = (2 * points - 1) / (2 * multiplier**2)
    density = np.exp(-((points - 1) ** 2) / (2 * multiplier**2)) / (multiplier * math.sqrt(2 * math.pi))
    reached = np.trapezoid(density * np.maximum(0, 1 - np.exp(np.minimum(epsilon - loss, 0))), points)
    assert reached == pytest.approx(delta, rel=1e-3)


def test_more_noise_protects_more_and_a_smaller_delta_costs_more() -> None:
    by_noise = [gaussian_epsilon(multiplier, 1e-5) for multiplier in (0.1, 0.5, 1, 2, 10, 100)]
    assert all(more > less for more, less in pairwise(by_noise))
    by_delta = [gaussian_epsilon(1.0, delta) for delta in (1e-9, 1e-6, 1e-3, 0.1)]
    assert all(more > less for more, less in pairwise(by_delta))


def test_the_classical_bound_is_never_beaten_by_more_than_it_promises() -> None:
    """Dwork and Roth 2014, theorem A.1: sqrt(2 ln(1.25/δ)) / ε sensitivities are enough for ε below 1."""
    for epsilon in (0.1, 0.5, 0.9):
        multiplier = math.sqrt(2 * math.log(1.25 / 1e-5)) / epsilon
        assert gaussian_epsilon(multiplier, 1e-5) <= epsilon


def test_hardly_any_noise_has_a_huge_and_finite_epsilon() -> None:
    """Near its limit, ε is that of the shift itself: 1 / 2m², here 500,000, and a little more for δ."""
    assert gaussian_epsilon(0.001, 1e-5) == pytest.approx(500_000, rel=0.02)
    assert math.isfinite(gaussian_epsilon(1e-6, 1e-5))


def test_noise_is_standard_normal_and_independent_between_blocks() -> None:
    block = 4096
    pieces = [gaussian_noise(7, start, start + block, block) for start in range(0, 40 * block, block)]
    whole = np.concatenate(pieces)
    assert kstest(whole, "norm").pvalue > 0.01
    assert abs(np.corrcoef(pieces[0], pieces[1])[0, 1]) < 0.06
    assert abs(np.corrcoef(pieces[0], gaussian_noise(8, 0, block, block))[0, 1]) < 0.06


@given(st.integers(0, 63), st.integers(0, 63), st.integers(0, 5))
def test_noise_of_part_of_a_block_is_that_part_of_the_blocks_noise(low: int, high: int, number: int) -> None:
    low, high = sorted((low, high))
    first = number * 64
    whole = gaussian_noise(3, first, first + 64, 64)
    np.testing.assert_array_equal(gaussian_noise(3, first + low, first + high, 64), whole[low:high])


@pytest.mark.parametrize("cuts", [[1], [65_536], [100, 70_000, 130_000]])
def test_slices_have_the_same_noise_as_the_whole(cuts: list[int]) -> None:
    rows = vectors(3, 140_000, 0)
    noisy = NoisySum(np.full(3, 1 / 3), deviation=0.5, seed=11)
    whole, _ = combine_rows(rows_of(rows), noisy, None)
    pieces = [combine_rows(piece, noisy, None)[0] for piece in cut(rows, cuts)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)


def test_without_deviation_the_sum_is_left_as_it_is_and_with_it_the_noise_has_that_deviation() -> None:
    rows = vectors(2, 200_000, 1)
    plain, _ = combine_rows(rows_of(rows), NoisySum(np.full(2, 0.5), 0.0, 1), None)
    noisy, _ = combine_rows(rows_of(rows), NoisySum(np.full(2, 0.5), 3.0, 1), None)
    np.testing.assert_allclose(plain, rows.mean(axis=0), atol=1e-6)
    assert (noisy - plain).std() == pytest.approx(3.0, rel=0.01)
    assert kstest((noisy - plain) / 3.0, "norm").pvalue > 0.01
