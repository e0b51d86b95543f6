"""Long-lived tasks are named, end together, and take the process with them when they fail."""

import asyncio
import logging
import os
import signal
from collections.abc import Iterator

import pytest

from services.common import tasks


@pytest.fixture
def signals(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[int, int]]]:
    """Signals that would have been sent."""
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: sent.append((pid, number)))
    yield sent
    monkeypatch.undo()


async def forever() -> None:
    await asyncio.Event().wait()


async def fail() -> None:
    raise ZeroDivisionError("of the loop")


async def stop() -> None:
    return


async def test_a_task_bears_its_name_and_runs_until_it_is_ended(signals: list[tuple[int, int]]) -> None:
    task = tasks.begin(forever(), "prefetcher")
    await asyncio.sleep(0)
    assert task.get_name() == "prefetcher"
    assert not task.done()
    await tasks.end(task)
    assert task.cancelled()
    assert signals == []


async def test_a_task_that_fails_ends_the_process_and_is_named_in_the_log(
    signals: list[tuple[int, int]], caplog: pytest.LogCaptureFixture
) -> None:
    task = tasks.begin(fail(), "table-follower")
    await asyncio.wait({task})
    await asyncio.sleep(0)
    assert signals == [(os.getpid(), signal.SIGTERM)]
    (record,) = [each for each in caplog.records if each.levelno == logging.ERROR]
    assert record.getMessage() == "task table-follower failed"
    assert record.exc_info
    assert isinstance(record.exc_info[1], ZeroDivisionError)


async def test_a_task_that_returns_ends_nothing(signals: list[tuple[int, int]]) -> None:
    task = tasks.begin(stop(), "done")
    await task
    await asyncio.sleep(0)
    assert signals == []


async def test_all_tasks_are_waited_for_even_those_that_clean_up_or_have_failed(signals: list[tuple[int, int]]) -> None:
    cleaned: list[str] = []

    async def clean_up(name: str) -> None:
        try:
            await forever()
        finally:
            await asyncio.sleep(0)
            cleaned.append(name)

    begun = [tasks.begin(clean_up(name), name) for name in "ab"]
    failed = tasks.begin(fail(), "failed")
    await asyncio.sleep(0)
    await tasks.end(*begun, failed)
    assert sorted(cleaned) == ["a", "b"]
    assert all(task.done() for task in (*begun, failed))


async def test_ending_no_tasks_is_nothing() -> None:
    await tasks.end()
