"""Hazards against their definition: requests at an age over object-seconds there, averaged over the time ahead."""

from itertools import pairwise
from math import exp, inf, sqrt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.policies.tailored.hazard import (
    MOST_OBSERVATIONS,
    FixedHazard,
    Hazard,
    RequestInterval,
    nearest_power_of_two,
)

EDGES = [0.0, *(2.0**power for power in range(-6, 34))]
"""Seconds: bucket b holds the ages from edge b to edge b + 1."""

ages = st.floats(0.0, 4000.0)
horizons = st.integers(-3, 7).map(lambda power: 2.0**power)
lives = st.tuples(ages, ages).map(sorted).map(lambda pair: (pair[0], pair[1]))


def rate_within(hazard: Hazard, begin: float, end: float, horizon: float = 1.0) -> float:
    """Return the constant rate between two ages of one bucket, from the averages at both.

    The average at an age `d` before the bucket's end is here + (after - here) * exp(-d / horizon): two ages give two
    equations.
    """
    far, near = exp(-(end - begin) / horizon), exp(-(end - begin) / 2 / horizon)
    at_begin, in_the_middle = hazard.rate(begin, horizon), hazard.rate((begin + end) / 2, horizon)
    return (at_begin * near - in_the_middle * far) / (near - far)


def average_by_definition(
    prior: float, requests: list[float], lived: list[tuple[float, float]], age: float, horizon: float
) -> float:
    """Work the average rate out bucket by bucket, from nothing but the definition in the module's docstring."""
    total = 0.0
    for begin, end in pairwise(EDGES):
        width = end - begin
        seen = sum(begin <= at < end for at in requests) + 2 * width * prior / (horizon + begin)
        seconds = sum(max(0.0, min(last, end) - max(first, begin)) for first, last in lived) + 2 * width
        if end > age:
            ahead = exp(-(max(begin, age) - age) / horizon) - exp(-(end - age) / horizon)
            total += seen / seconds * ahead
    return total


def test_the_example_in_the_module() -> None:
    hazard = Hazard(prior=0.5)
    hazard.observe_request(1.5)
    hazard.observe_life(4.0)
    assert rate_within(hazard, 1, 2) == pytest.approx(1 / 2)
    assert rate_within(hazard, 2, 4) == pytest.approx(1 / 9)
    assert rate_within(hazard, 4, 8) == pytest.approx(1 / 10)


@given(st.floats(0.0, 1.0), st.lists(ages, max_size=12), st.lists(lives, max_size=12), ages, horizons)
def test_a_rate_is_the_average_over_the_time_ahead(
    prior: float, requests: list[float], lived: list[tuple[float, float]], age: float, horizon: float
) -> None:
    hazard = Hazard(prior)
    for at in requests:
        hazard.observe_request(at)
    for begin, end in lived:
        hazard.observe_life(end, begin)
    age = min(age, 100 * horizon)
    expected = average_by_definition(prior, requests, lived, age, horizon)
    assert hazard.rate(age, horizon) == pytest.approx(expected, rel=1e-6, abs=1e-12)


@given(st.floats(0.01, 1.0), horizons)
def test_a_hazard_that_has_seen_nothing_expects_its_prior_within_the_horizon(prior: float, horizon: float) -> None:
    # A rate of prior / (horizon + age), averaged by exp(-age / horizon) from age 0 on, is 0.596 * prior / horizon: the
    # integral of exp(-x) / (1 + x). Buckets make steps of the smooth curve, each at the value of its beginning.
    expected = Hazard(prior).rate(0.0, horizon) * horizon / prior
    assert 0.596 <= expected <= 0.75


def test_far_beyond_the_horizon_a_rate_is_that_of_its_bucket_alone() -> None:
    hazard = Hazard(prior=0.0)
    for _ in range(10):
        hazard.observe_request(1500.0)
        hazard.observe_life(3000.0)
    # The bucket from 1024 to 2048 s; ten lives and two of the prior lived through it.
    assert hazard.rate(1500.0, 0.125) == pytest.approx(10 / (12 * 1024))


def test_a_life_that_began_later_spent_no_time_at_earlier_ages() -> None:
    hazard = Hazard(prior=0.0)
    hazard.observe_request(1.5)
    hazard.observe_life(8.0, begin=4.0)
    assert rate_within(hazard, 1, 2) == pytest.approx(1 / 2)  # only the prior's two lives were there


def test_a_hundred_lives_with_one_request_each_give_one_request_in_its_bucket() -> None:
    # Each life lasts 64 s and is requested once at 10 s, in the bucket from 8 to 16 s; the prior adds two lives.
    hazard = Hazard(prior=0.0)
    for _ in range(104):
        hazard.observe_request(10.0)
        hazard.observe_life(64.0)
    assert hazard.rate(10.0, 1 / 64) == pytest.approx(104 / (106 * 8), rel=0.01)
    assert hazard.rate(40.0, 1 / 64) == 0.0


@given(st.lists(ages, min_size=1, max_size=10), ages, horizons)
def test_fading_by_half_undoes_a_doubling(requests: list[float], age: float, horizon: float) -> None:
    faded, once = Hazard(0.2), Hazard(0.2)
    for at in requests:
        once.observe_request(at)
        once.observe_life(at)
        for _ in range(2):
            faded.observe_request(at)
            faded.observe_life(at)
    faded.fade(0.5)
    assert faded.rate(age, horizon) == pytest.approx(once.rate(age, horizon))


def test_rates_follow_the_first_observations_at_once_and_later_ones_in_batches() -> None:
    hazard = Hazard(prior=0.1)
    seen = [hazard.rate(1.5, 1.0)]
    for _ in range(500):
        hazard.observe_request(1.5)
        seen.append(hazard.rate(1.5, 1.0))
    changes = [number for number in range(1, len(seen)) if seen[number] != seen[number - 1]]
    assert changes[:4] == [1, 3, 7, 15]
    assert max(later - earlier for earlier, later in pairwise(changes)) == MOST_OBSERVATIONS


def test_a_fixed_hazard_keeps_its_prior() -> None:
    fixed, fresh = FixedHazard(0.3), Hazard(0.3)
    for _ in range(10):
        fixed.observe_request(1.0)
        fixed.observe_life(1.0)
    assert [fixed.rate(age, 2.0) for age in (0.0, 1.0, 50.0)] == [fresh.rate(age, 2.0) for age in (0.0, 1.0, 50.0)]


@given(st.floats(1 / 64, 1e9))
def test_the_nearest_power_of_two_is_within_a_factor_of_the_root_of_two(seconds: float) -> None:
    power = nearest_power_of_two(seconds)
    assert power in {2.0**exponent for exponent in range(-6, 32)}
    assert 1 / sqrt(2) <= power / seconds <= sqrt(2) * (1 + 1e-9)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, -1.0])
def test_no_power_of_two_is_below_the_shortest_age(seconds: float) -> None:
    assert nearest_power_of_two(seconds) == 1 / 64


@pytest.mark.parametrize(("interval", "power"), [(1.0, 1.0), (10.0, 8.0), (12.0, 16.0), (60.0, 64.0), (0.3, 0.25)])
def test_a_steady_interval_is_its_nearest_power_of_two(interval: float, power: float) -> None:
    requests = RequestInterval()
    for number in range(20):
        requests.observe_request(number * interval)
    assert requests.seconds == power


def test_the_mean_interval_forgets_old_ones() -> None:
    requests, now = RequestInterval(), 0.0
    for interval in [64.0] * 100 + [1.0] * 200:
        now += interval
        requests.observe_request(now)
    assert requests.seconds == 1.0


def test_requests_at_one_instant_leave_an_interval_to_plan_with() -> None:
    requests = RequestInterval()
    for _ in range(3):
        requests.observe_request(5.0)
    assert requests.seconds == 1 / 64
    assert 0.0 < Hazard(prior=0.3).rate(0.0, requests.seconds) < inf
