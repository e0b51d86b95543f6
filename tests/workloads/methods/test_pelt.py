"""Change points against a search of all splits, and the noise of a series against its construction."""

import math
from itertools import combinations, pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.workloads.methods.pelt import LEAST_SEGMENT, change_points, noise_deviation
from tests.workloads.methods.arrays import Float64, seeds, vectors


def cost_of(series: Float64, starts: list[int], penalty: float) -> float:
    """Return the squared deviations from the segments' means, and the penalty for each change."""
    parts = [series[start:end] for start, end in pairwise([0, *starts, len(series)])]
    if min(map(len, parts)) < LEAST_SEGMENT:
        return math.inf
    return sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts) + penalty * len(starts)


def least_cost(series: Float64, penalty: float) -> float:
    """Return the cost of the best of all splits."""
    places = range(1, len(series))
    return min(
        cost_of(series, list(cuts), penalty) for count in range(len(series)) for cuts in combinations(places, count)
    )


@given(st.integers(2, 11), st.integers(1, 2), st.floats(0.01, 20), seeds)
@settings(max_examples=60)
def test_no_split_costs_less(length: int, measures: int, penalty: float, seed: int) -> None:
    levels = np.repeat(3 * vectors(4, measures, seed + 1), 3, axis=0)[:length]
    series = vectors(length, measures, seed) + levels
    assert cost_of(series, change_points(series, penalty), penalty) == pytest.approx(least_cost(series, penalty))


@pytest.mark.parametrize("place", [2, 40, 118])
def test_a_change_of_level_is_found_where_it_is(place: int) -> None:
    series = vectors(120, 1, 0)
    series[place:] += 20
    assert change_points(series, 4 * math.log(120)) == [place]


def test_several_changes_are_found_in_order() -> None:
    series = vectors(150, 2, 1)
    series[50:] += 10
    series[100:] -= 20
    assert change_points(series, 4 * math.log(150)) == [50, 100]


def test_noise_alone_has_no_change() -> None:
    assert change_points(vectors(300, 2, 2), 4 * math.log(300)) == []


def test_a_single_outlier_is_not_a_change_of_its_own() -> None:
    series = np.zeros((20, 1))
    series[10] = 50
    starts = [0, *change_points(series, 1.0), 20]
    assert min(end - start for start, end in pairwise(starts)) >= LEAST_SEGMENT


@pytest.mark.parametrize("length", [2, 3])
def test_series_too_short_for_two_segments_have_no_change(length: int) -> None:
    assert change_points(100 * np.arange(length, dtype=np.float64)[:, None], 0.01) == []


@given(seeds, st.integers(-(10**6), 10**6))
@settings(max_examples=20)
def test_a_shift_of_all_values_changes_nothing(seed: int, shift: int) -> None:
    series = vectors(30, 1, seed) + 8 * (np.arange(30) >= 12)[:, None]
    assert change_points(series + float(shift), 12.0) == change_points(series, 12.0)


@given(seeds)
@settings(max_examples=20)
def test_a_series_read_backwards_changes_at_the_mirrored_places(seed: int) -> None:
    series = vectors(30, 1, seed) + 8 * (np.arange(30) >= 12)[:, None]
    forwards = change_points(series, 12.0)
    assert change_points(series[::-1], 12.0) == sorted(30 - start for start in forwards)


@given(seeds)
@settings(max_examples=20)
def test_a_higher_price_never_finds_more_changes(seed: int) -> None:
    series = vectors(40, 1, seed) + 3 * (np.arange(40) % 20 >= 10)[:, None]
    counts = [len(change_points(series, penalty)) for penalty in (0.5, 2, 8, 32, 1e9)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] == 0


def test_noise_is_that_of_the_values_and_not_of_a_step() -> None:
    values = 0.3 * np.random.default_rng(0).standard_normal(4000) + 50 * (np.arange(4000) > 1500)
    assert noise_deviation(values, 0.01) == pytest.approx(0.3, rel=0.05)


@pytest.mark.parametrize(("values", "deviation"), [([1.0, 1, 1, 1, 1], 0.01), ([3.0], 0.2), ([], 0.2)])
def test_noise_is_at_least_the_floor(values: list[float], deviation: float) -> None:
    assert noise_deviation(np.array(values), deviation) == deviation
