"""Whether a process is in use: by requests in flight and the time since the last one."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.activity import Activity
from tests.fakes.clock import Clock


def test_idleness_counts_from_the_last_end() -> None:
    clock = Clock()
    activity = Activity(clock)
    clock.now += 5.0
    assert activity.idle_seconds == 5.0
    with activity.request():
        clock.now += 7.0
        assert activity.idle_seconds == 0.0
    assert activity.idle_seconds == 0.0
    clock.now += 2.0
    assert activity.idle_seconds == 2.0
    assert activity.awake_seconds == 14.0


def test_one_of_several_requests_in_flight_keeps_it_in_use() -> None:
    clock = Clock()
    activity = Activity(clock)
    with activity.request():
        with activity.request():
            clock.now += 1.0
        clock.now += 4.0
        assert activity.idle_seconds == 0.0
    clock.now += 3.0
    assert activity.idle_seconds == 3.0


def test_a_request_that_fails_has_ended_too() -> None:
    clock = Clock()
    activity = Activity(clock)
    with pytest.raises(ZeroDivisionError), activity.request():
        raise ZeroDivisionError
    clock.now += 1.0
    assert activity.idle_seconds == 1.0


@pytest.mark.parametrize(("window", "idle", "long_enough"), [(10.0, 9.9, False), (10.0, 10.0, True), (0.0, 1e9, False)])
def test_idle_for_compares_with_the_window_and_never_holds_without_one(
    window: float, idle: float, long_enough: bool
) -> None:
    clock = Clock()
    activity = Activity(clock)
    clock.now += idle
    assert activity.idle_for(window) is long_enough


async def test_quiet_is_when_nothing_is_in_flight() -> None:
    activity = Activity(Clock())
    await asyncio.wait_for(activity.quiet(), 1.0)
    with activity.request():
        waiting = asyncio.create_task(activity.quiet())
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1.0)


async def test_the_first_request_is_waited_for_until_it_was_answered() -> None:
    activity = Activity(Clock())
    waiting = asyncio.create_task(activity.first_request())
    with activity.request():
        await asyncio.sleep(0)
        assert not waiting.done()
    await asyncio.wait_for(waiting, 1.0)
    await asyncio.wait_for(activity.first_request(), 1.0)


@given(st.lists(st.tuples(st.sampled_from(["begin", "end"]), st.floats(0.0, 10.0)), max_size=30))
def test_idleness_is_the_time_since_the_last_end_for_any_interleaving(events: list[tuple[str, float]]) -> None:
    clock = Clock()
    activity = Activity(clock)
    in_flight: list[ExitStack] = []
    last_end = 0.0
    for event, pause in events:
        clock.now += pause
        if event == "begin":
            stack = ExitStack()
            stack.enter_context(activity.request())
            in_flight.append(stack)
        elif in_flight:
            in_flight.pop(0).close()
            last_end = clock.now
        assert activity.idle_seconds == (0.0 if in_flight else clock.now - last_end)
    for stack in in_flight:
        stack.close()
