"""Waiting with a limit: the work's result, its failure, or None; never a task left behind."""

import asyncio

import pytest

from services.placement.timing import RealTime, run_within
from tests.fakes.time import FakeTime, settle


async def test_work_that_ends_in_time_gives_its_result() -> None:
    async def work() -> str:
        return "done"

    assert await run_within(FakeTime(), 5.0, work()) == "done"


async def test_work_that_takes_too_long_is_cancelled() -> None:
    time, ended = FakeTime(), []

    async def work() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(time.monotonic())
        return "never"

    begun = time.monotonic()
    waiting = asyncio.create_task(run_within(time, 5.0, work()))
    await time.advance(4.9)
    assert not waiting.done()
    await time.advance(0.1)
    assert await waiting is None
    await settle()
    assert ended == [begun + 5.0]


async def test_work_that_fails_raises_its_error() -> None:
    async def work() -> None:
        raise LookupError("nothing there")

    with pytest.raises(LookupError, match="nothing there"):
        await run_within(FakeTime(), 5.0, work())


async def test_whoever_stops_waiting_stops_the_work() -> None:
    time, cancelled = FakeTime(), []

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    waiting = asyncio.create_task(run_within(time, 5.0, work()))
    await settle()
    waiting.cancel()
    await settle()
    assert waiting.cancelled()
    assert cancelled == [True]


async def test_the_machine_s_time_agrees_with_itself() -> None:
    time = RealTime()
    before = time.monotonic()
    await time.sleep(0.001)
    assert time.monotonic() - before >= 0.001
    assert time.now() > 1_700_000_000.0
