"""Arrival processes, held against the laws that define them."""

import math
import random
from statistics import mean

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from loadgen.traces.arrivals import ARRIVALS, BURST_REQUESTS, DAY, DIURNAL_SWING, bursty, diurnal, poisson

WEEK = 7 * DAY


@given(
    st.sampled_from(sorted(ARRIVALS)), st.integers(0, 60), st.floats(0, 1e5), st.floats(1.0, 1e5), st.integers(0, 99)
)
def test_every_process_gives_exactly_the_count_sorted_and_within_the_bounds(
    name: str, count: int, start: float, length: float, seed: int
) -> None:
    times = ARRIVALS[name](count, start, start + length, random.Random(seed))
    assert len(times) == count
    assert times == sorted(times)
    assert all(start <= t <= start + length for t in times)


@pytest.mark.parametrize("name", ARRIVALS)
def test_equal_seeds_give_equal_times(name: str) -> None:
    first, same, other = (ARRIVALS[name](50, 0.0, WEEK, random.Random(seed)) for seed in (1, 1, 2))
    assert first == same != other


def test_a_poisson_process_given_its_count_is_uniform() -> None:
    """Kingman 1993, section 2.4: given their number, the points of a Poisson process are independent and uniform."""
    times = poisson(5000, 100.0, 500.0, random.Random(1))
    assert stats.kstest(times, "uniform", args=(100.0, 400.0)).pvalue > 0.01
    gaps = np.diff(times)
    assert np.std(gaps) / np.mean(gaps) == pytest.approx(1.0, abs=0.05), "exponential gaps vary as much as their mean"


def test_bursts_are_clusters_of_ten_with_exponential_delays() -> None:
    """In a Neyman-Scott process, counts in windows as long as a burst vary far more than a Poisson process's."""
    count, length = 20_000, 4_000_000.0
    clustered = np.histogram(bursty(count, 0.0, length, random.Random(3)), bins=int(length / 600))[0]
    plain = np.histogram(poisson(count, 0.0, length, random.Random(3)), bins=int(length / 600))[0]
    assert np.var(plain) / np.mean(plain) == pytest.approx(1.0, abs=0.1)
    # A window of ten mean delays holds most bursts whole: the variance is about the mean times 1 + requests a burst.
    assert np.var(clustered) / np.mean(clustered) == pytest.approx(1 + BURST_REQUESTS, rel=0.25)


def test_few_requests_still_have_a_burst() -> None:
    assert len(bursty(3, 0.0, 100.0, random.Random(0))) == 3


def test_the_daily_rate_is_the_sine_that_was_meant() -> None:
    """The rate 1 + a sin(2 pi t / day): its first Fourier coefficient over whole days is a / 2, and no other counts."""
    times = np.array(diurnal(40_000, 0.0, WEEK, random.Random(2)))
    phases = 2 * math.pi * times / DAY
    assert mean(np.sin(phases)) == pytest.approx(DIURNAL_SWING / 2, abs=0.01)
    assert mean(np.cos(phases)) == pytest.approx(0.0, abs=0.01)
    assert mean(np.sin(2 * phases)) == pytest.approx(0.0, abs=0.01)


def test_the_busiest_hour_has_nine_times_the_requests_of_the_quietest() -> None:
    """At a quarter of the day the rate is 1.8 of its mean, at three quarters 0.2."""
    hours = np.histogram([t % DAY for t in diurnal(60_000, 0.0, WEEK, random.Random(4))], bins=24, range=(0, DAY))[0]
    assert (hours[5] + hours[6]) / (hours[17] + hours[18]) == pytest.approx(9.0, rel=0.15)
