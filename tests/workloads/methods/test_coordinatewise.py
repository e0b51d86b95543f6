"""Coordinate-wise combinations against NumPy and SciPy, and slices against the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from flstore_core.workloads.methods.coordinatewise import (
    Combiner,
    MeanOfRanks,
    WeightedSum,
    aligned_blocks,
    combine_rows,
    coordinate_median,
    weighted_sums,
)
from tests.workloads.methods.arrays import cut, rows_of, seeds, vectors


@given(st.integers(0, 500), st.integers(0, 300), st.integers(1, 64))
def test_blocks_cover_a_range_once_and_end_at_multiples(first: int, length: int, block: int) -> None:
    blocks = list(aligned_blocks(first, first + length, block))
    assert [place for start, stop in blocks for place in range(start, stop)] == list(range(first, first + length))
    assert all(stop % block == 0 for _, stop in blocks[:-1])
    assert all(0 < stop - start <= block for start, stop in blocks)


@given(st.integers(1, 6), st.integers(1, 5), seeds)
def test_weighted_sums_are_a_matrix_product(models: int, sums: int, seed: int) -> None:
    rows, weights = vectors(models, 30, seed).astype(np.float32), vectors(models, sums, seed + 1)
    expected = weights.T @ rows.astype(np.float64)
    np.testing.assert_allclose(np.stack(weighted_sums(rows_of(rows), weights)), expected, rtol=1e-6, atol=1e-6)


def test_a_model_of_weight_zero_does_not_reach_a_sum() -> None:
    rows = np.array([[1.0, 2.0], [np.inf, np.nan]], np.float32)
    first, second = weighted_sums(rows_of(rows), np.array([[1.0, 2.0], [0.0, 0.0]]))
    assert (first.tolist(), second.tolist()) == ([1.0, 2.0], [2.0, 4.0])


def test_sums_that_cancel_in_float32_are_exact_in_float64() -> None:
    rows = np.array([[1e8], [1.0], [-1e8]], np.float32)
    assert weighted_sums(rows_of(rows), np.ones((3, 1)))[0].tolist() == [1.0]


def test_a_slice_that_starts_within_a_block_gives_that_part_of_the_sums() -> None:
    rows, weights = vectors(3, 40_000, 0).astype(np.float32), vectors(3, 2, 1)
    whole = weighted_sums(rows_of(rows), weights)
    pieces = [weighted_sums(piece, weights) for piece in cut(rows, [5, 20_000])]
    for index in range(2):
        np.testing.assert_array_equal(np.concatenate([piece[index] for piece in pieces]), whole[index])


@given(st.integers(1, 9), seeds)
def test_the_weighted_sum_is_numpys_average(models: int, seed: int) -> None:
    rows, weights = vectors(models, 50, seed), np.random.default_rng(seed).random(models) + 0.1
    combined, _ = combine_rows(rows_of(rows), WeightedSum(weights / weights.sum()), None)
    np.testing.assert_allclose(combined, np.average(rows, axis=0, weights=weights), rtol=1e-5, atol=1e-5)


@given(st.integers(1, 20), seeds)
def test_the_median_is_numpys(models: int, seed: int) -> None:
    rows = vectors(models, 50, seed).round(1).astype(np.float32)
    combined, _ = combine_rows(rows_of(rows), coordinate_median(models), None)
    np.testing.assert_allclose(combined, np.median(rows, axis=0), atol=1e-6)


@given(st.integers(1, 20), st.data())
def test_the_mean_of_ranks_is_scipys_trimmed_mean(models: int, data: st.DataObject) -> None:
    cut_off = data.draw(st.integers(0, (models - 1) // 2))
    rows = vectors(models, 50, data.draw(seeds))
    combined, _ = combine_rows(rows_of(rows), MeanOfRanks(cut_off), None)
    np.testing.assert_allclose(combined, trim_mean(rows, (cut_off + 0.01) / models, axis=0), atol=1e-5)


def test_values_at_the_end_of_float32_overflow_neither_the_mean_nor_the_distance() -> None:
    rows = np.full((4, 3), 3e38)
    combined, moved = combine_rows(rows_of(rows), MeanOfRanks(0), None)
    assert combined.tolist() == pytest.approx([3e38] * 3, rel=1e-6)
    assert moved == pytest.approx(3 * 3e38**2, rel=1e-6)
    _, moved = combine_rows(rows_of(rows), MeanOfRanks(0), rows_of(-rows[:1])[0])
    assert moved == pytest.approx(3 * 6e38**2, rel=1e-6)


COMBINERS = pytest.mark.parametrize(
    "combiner", [WeightedSum(np.full(5, 0.2)), MeanOfRanks(1), coordinate_median(5)], ids=["sum", "trimmed", "median"]
)


@COMBINERS
def test_the_distance_from_the_base_is_that_of_the_combination(combiner: Combiner) -> None:
    rows, base = vectors(5, 70_000, 0), vectors(1, 70_000, 1)
    combined, moved = combine_rows(rows_of(rows), combiner, rows_of(base)[0])
    step = combined.astype(np.float64) - base[0].astype(np.float32)
    assert moved == pytest.approx(float((step**2).sum()), rel=1e-12)
    combined, moved = combine_rows(rows_of(rows), combiner, None)
    assert moved == pytest.approx(float((combined.astype(np.float64) ** 2).sum()), rel=1e-12)


@COMBINERS
@pytest.mark.parametrize("cuts", [[1], [30_000], [7, 16_384, 69_999]])
def test_slices_change_neither_the_combination_nor_the_distance(combiner: Combiner, cuts: list[int]) -> None:
    rows, base = vectors(5, 70_000, 2), vectors(1, 70_000, 3)
    whole, moved = combine_rows(rows_of(rows), combiner, rows_of(base)[0])
    pieces = [
        combine_rows(piece, combiner, origin[0]) for piece, origin in zip(cut(rows, cuts), cut(base, cuts), strict=True)
    ]
    np.testing.assert_array_equal(np.concatenate([piece for piece, _ in pieces]), whole)
    assert sum(part for _, part in pieces) == pytest.approx(moved, rel=1e-6)


@COMBINERS
def test_the_order_of_models_does_not_matter(combiner: Combiner) -> None:
    rows = vectors(5, 200, 4)
    once, _ = combine_rows(rows_of(rows), combiner, None)
    again, _ = combine_rows(rows_of(rows[::-1]), combiner, None)
    np.testing.assert_allclose(again, once, rtol=1e-5, atol=1e-6)


@COMBINERS
@given(factor=st.floats(0.01, 100), shift=st.floats(-10, 10))
def test_scaling_and_shifting_models_scales_and_shifts_the_combination(
    combiner: Combiner, factor: float, shift: float
) -> None:
    rows = vectors(5, 20, 5)
    once, _ = combine_rows(rows_of(rows), combiner, None)
    moved, _ = combine_rows(rows_of(factor * rows + shift), combiner, None)
    np.testing.assert_allclose(moved, factor * once + shift, rtol=1e-4, atol=1e-4 * factor)
