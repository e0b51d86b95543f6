"""Pauses grow, chance shortens them, and the last attempt is the last."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.retry import Retry, growing
from tests.fakes.clock import Clock


def pauses_of(retry: Retry, clock: Clock) -> list[float]:
    """Fail until `retry` gives up, and return the pauses slept in between."""
    attempts = retry.begin()
    while attempts.failed():
        attempts.wait()
    return clock.pauses


def test_the_example_of_the_module_holds() -> None:
    clock = Clock()
    retry = Retry(growing(0.1, 1.0), give_up_s=3.0, clock=clock, sleep=clock.sleep)
    assert pauses_of(retry, clock) == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.0])
    assert clock.now == pytest.approx(2.5)


@given(st.floats(0.01, 1.0), st.floats(1.0, 60.0), st.floats(1.1, 10.0))
def test_pauses_grow_by_the_factor_up_to_the_longest(first_s: float, longest_s: float, factor: float) -> None:
    pauses = growing(first_s, longest_s, factor)
    assert pauses == pytest.approx([min(longest_s, first_s * factor**n) for n in range(len(pauses))])
    assert pauses[-1] == longest_s
    assert all(pause < longest_s for pause in pauses[:-1])


@pytest.mark.parametrize(("first_s", "longest_s"), [(0.0, 5.0), (0.2, 0.0), (0.0, 0.0), (3.0, 1.0)])
def test_pauses_that_cannot_grow_are_one_pause(first_s: float, longest_s: float) -> None:
    assert growing(first_s, longest_s) == (min(first_s, longest_s),)


def test_the_last_pause_repeats() -> None:
    attempts = Retry((1.0, 7.0)).begin()
    pauses = []
    for _ in range(4):
        assert attempts.failed()
        pauses.append(attempts.pause_s)
    assert pauses == [1.0, 7.0, 7.0, 7.0]


@given(st.floats(0.0, 1.0), st.floats(0.0, 1.0, exclude_max=True))
def test_jitter_is_the_share_of_a_pause_that_chance_may_take(jitter: float, chance: float) -> None:
    attempts = Retry((8.0,), jitter=jitter, chance=lambda: chance).begin()
    attempts.failed()
    assert 8.0 * (1.0 - jitter) - 1e-9 <= attempts.pause_s <= 8.0
    assert attempts.pause_s == pytest.approx(8.0 * (1.0 - jitter) + 8.0 * jitter * chance)


@pytest.mark.parametrize("attempts", [1, 2, 5])
def test_no_more_attempts_are_made_than_allowed(attempts: int) -> None:
    clock = Clock()
    assert len(pauses_of(Retry((1.0,), attempts=attempts, clock=clock, sleep=clock.sleep), clock)) == attempts - 1


@given(st.floats(0.0, 30.0), st.floats(0.1, 3.0))
def test_no_attempt_begins_at_the_deadline_or_later(give_up_s: float, pause_s: float) -> None:
    clock = Clock()
    retry = Retry((pause_s,), give_up_s=give_up_s, clock=clock, sleep=clock.sleep)
    pauses = pauses_of(retry, clock)
    assert clock.now < give_up_s or not pauses
    assert clock.now + pause_s >= give_up_s


def test_time_spent_in_attempts_counts_towards_the_deadline() -> None:
    clock = Clock()
    attempts = Retry((0.5,), give_up_s=2.0, clock=clock, sleep=clock.sleep).begin()
    clock.now += 1.4
    assert attempts.failed()
    clock.now += 0.1
    assert not attempts.failed()
    assert attempts.spent_s == pytest.approx(1.5)


def test_success_begins_anew() -> None:
    clock = Clock()
    attempts = Retry(growing(1.0, 8.0), give_up_s=5.0, clock=clock, sleep=clock.sleep).begin()
    while attempts.failed():
        attempts.wait()
    assert (attempts.failures, clock.now) == (3, 3.0)
    attempts.succeeded()
    assert (attempts.failures, attempts.pause_s, attempts.spent_s) == (0, 0.0, 0.0)
    assert attempts.failed()
    assert attempts.pause_s == 1.0


def test_a_peer_may_ask_for_a_longer_pause_but_not_for_a_shorter_one() -> None:
    attempts = Retry((2.0,)).begin()
    attempts.failed(least_s=9.0)
    assert attempts.pause_s == 9.0
    attempts.failed(least_s=0.5)
    assert attempts.pause_s == 2.0


def test_retries_go_on_for_ever_by_default() -> None:
    attempts = Retry().begin()
    assert all(attempts.failed() for _ in range(1000))
    assert attempts.pause_s == 30.0
    assert math.isinf(Retry().give_up_s)
