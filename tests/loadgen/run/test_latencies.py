"""Histograms of durations, held against NumPy on the raw samples."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.run.latencies import BATCH, HOUR_US, Latencies, _buckets, _longest

DURATIONS = st.floats(1e-6, 3000.0)


def filled(samples: list[float]) -> Latencies:
    latencies = Latencies()
    for sample in samples:
        latencies.add(sample)
    return latencies


@given(st.integers(1, HOUR_US))
def test_a_bucket_holds_its_duration_and_is_a_thousandth_wide(micros: int) -> None:
    bucket = int(_buckets(np.array([micros]))[0])
    longest = _longest(bucket)
    shortest = _longest(bucket - 1) + 1 if bucket else 0
    assert shortest <= micros <= longest
    assert longest - shortest <= micros / 1000


@given(st.integers(1, HOUR_US - 1))
def test_longer_durations_have_no_lower_buckets(micros: int) -> None:
    here, next_one = _buckets(np.array([micros, micros + 1]))
    assert here <= next_one <= here + 1


@given(st.lists(DURATIONS, min_size=1, max_size=300), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_quantiles_are_numpys_to_three_digits(samples: list[float], percent: float) -> None:
    rank = max(1, int(percent / 100 * len(samples) + 0.5))
    expected = 1e3 * sorted(samples)[rank - 1]
    assert filled(samples).quantile_ms(percent) == pytest.approx(expected, rel=1.1e-3, abs=1e-3)


@given(st.lists(st.lists(DURATIONS, max_size=40), max_size=5))
def test_parts_together_are_the_whole(parts: list[list[float]]) -> None:
    together = Latencies.together(filled(part) for part in parts)
    whole = filled([sample for part in parts for sample in part])
    assert together.count == whole.count
    assert together.curve() == whole.curve()
    assert together.to_json() == pytest.approx(whole.to_json())


def test_many_durations_are_counted_in_batches_and_none_is_lost() -> None:
    samples = [0.001 * (index % 7 + 1) for index in range(2 * BATCH + 5)]
    latencies = filled(samples)
    assert latencies.count == len(samples)
    assert latencies.to_json()["mean_ms"] == pytest.approx(1e3 * float(np.mean(samples)))


def test_no_durations_have_no_curve_and_zero_figures() -> None:
    figures = Latencies().to_json()
    assert set(figures.values()) == {0}
    assert Latencies().curve() == []


def test_a_curve_rises_from_0_to_all() -> None:
    curve = filled([0.001 * index for index in range(1, 1001)]).curve()
    assert [share for _, share in curve] == sorted(share for _, share in curve)
    assert [ms for ms, _ in curve] == sorted(ms for ms, _ in curve)
    by_share = {share: ms for ms, share in curve}
    assert by_share[1.0] == pytest.approx(1000.0, rel=1e-3)
    assert by_share[0.5] == pytest.approx(500.0, rel=2e-3)


@pytest.mark.parametrize(("seconds", "ms"), [(0.0, 0.001), (1e-9, 0.001), (7200.0, 3_600_000.0)])
def test_durations_beyond_a_microsecond_and_an_hour_count_at_the_bounds(seconds: float, ms: float) -> None:
    assert filled([seconds]).quantile_ms(100.0) == pytest.approx(ms, rel=1.1e-3)
