"""Sorting networks by the 0-1 principle, and on rows against NumPy's sort."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core.workloads.methods.sorting_network import (
    Comparison,
    drop_extremes,
    network,
    select_ranks,
    trimming,
)
from tests.workloads.methods.arrays import seeds, vectors

SPOILT = 7
"""Written where a comparison's half is left out: nothing may depend on it."""


def zeros_and_ones(rows: int) -> NDArray[np.int64]:
    """Return every column of zeros and ones: a network that sorts these sorts all (Knuth, TAOCP 3, 5.3.4)."""
    return (np.arange(2**rows)[None, :] >> np.arange(rows)[:, None] & 1).astype(np.int64)


def applied(steps: tuple[Comparison, ...], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the columns after all comparisons, by plain sorting of pairs."""
    for low, high, keep_low, keep_high in steps:
        least, greatest = np.sort(columns[[low, high]], axis=0)
        columns[low], columns[high] = least if keep_low else SPOILT, greatest if keep_high else SPOILT
    return columns


@pytest.mark.parametrize("rows", range(1, 12))
def test_all_ranks_together_sort(rows: int) -> None:
    columns = zeros_and_ones(rows)
    np.testing.assert_array_equal(applied(network(rows, tuple(range(rows))), columns.copy()), np.sort(columns, axis=0))


@pytest.mark.parametrize("rows", range(1, 10))
def test_any_rank_alone_comes_to_its_place(rows: int) -> None:
    columns = zeros_and_ones(rows)
    for rank in range(rows):
        found = applied(network(rows, (rank,)), columns.copy())[rank]
        np.testing.assert_array_equal(found, np.sort(columns, axis=0)[rank])


@pytest.mark.parametrize("rows", range(1, 12))
def test_trimming_leaves_what_lies_between_the_extremes(rows: int) -> None:
    columns = zeros_and_ones(rows)
    for cut in range((rows + 1) // 2):
        found = applied(trimming(rows, cut), columns.copy())[cut : rows - cut]
        np.testing.assert_array_equal(np.sort(found, axis=0), np.sort(columns, axis=0)[cut : rows - cut])


@pytest.mark.parametrize(("rows", "comparisons"), [(1, 0), (2, 1), (4, 5), (8, 19), (16, 63)])
def test_a_power_of_two_takes_batchers_number_of_comparisons(rows: int, comparisons: int) -> None:
    """(p² - p + 4) 2^(p-2) - 1 comparisons for 2^p values (Knuth, TAOCP 3, 5.3.4, exercise 8)."""
    p = int(math.log2(rows))
    assert comparisons == round((p * p - p + 4) * 2 ** (p - 2) - 1)
    assert len(network(rows, tuple(range(rows)))) == comparisons


def halves(steps: tuple[Comparison, ...]) -> int:
    return sum(step.keep_low + step.keep_high for step in steps)


@pytest.mark.parametrize("rows", [5, 10, 25])
def test_fewer_wanted_ranks_never_cost_more(rows: int) -> None:
    everything = halves(network(rows, tuple(range(rows))))
    middle = halves(network(rows, (rows // 2,)))
    assert middle < everything
    assert halves(network(rows, (0,))) == rows - 1
    assert halves(trimming(rows, 1)) <= halves(network(rows, tuple(range(1, rows - 1))))


@given(st.integers(1, 25), st.data())
def test_rows_of_the_wanted_ranks_are_numpys(rows: int, data: st.DataObject) -> None:
    ranks = tuple(sorted(data.draw(st.sets(st.integers(0, rows - 1), min_size=1))))
    values = vectors(rows, 30, data.draw(seeds)).round(1).astype(np.float32)
    expected = np.sort(values, axis=0)[list(ranks)]
    found = select_ranks(list(values.copy()), np.empty(30, np.float32), ranks)
    np.testing.assert_array_equal(np.stack(found), expected)


@given(st.integers(1, 25), st.data())
def test_what_is_left_without_the_extremes_is_numpys(rows: int, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, (rows - 1) // 2))
    values = vectors(rows, 30, data.draw(seeds)).round(1).astype(np.float32)
    expected = np.sort(values, axis=0)[cut : rows - cut]
    found = drop_extremes(list(values.copy()), np.empty(30, np.float32), cut)
    np.testing.assert_array_equal(np.sort(np.stack(found), axis=0), expected)


def test_infinities_are_extremes_like_any_other() -> None:
    values = np.array([[np.inf], [1.0], [-np.inf], [2.0], [3.0]], np.float32)
    found = drop_extremes(list(values), np.empty(1, np.float32), 1)
    assert sorted(float(row[0]) for row in found) == [1.0, 2.0, 3.0]
