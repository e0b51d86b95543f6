"""Time for the controller's code: a clock that code on an event loop can read and wait on.

It is `services.common.timing.Time` with a `sleep` that lets other tasks run. All code that pauses, measures or lets
something expire takes a `Time`. Services pass `RealTime`. Tests pass a clock whose seconds pass when the test says so,
and so a minute of back-off takes them no time.
"""

import asyncio
import time
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

T = TypeVar("T")


class Time(Protocol):
    """A clock that one can wait on."""

    def monotonic(self) -> float:
        """Return seconds that never go back; only differences mean anything."""
        ...

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return once `seconds` have passed; zero or less yields to other tasks and returns."""
        ...


class RealTime:
    """The machine's clock."""

    def monotonic(self) -> float:
        return time.monotonic()

    def now(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def run_within(time: Time, seconds: float, work: Coroutine[Any, Any, T]) -> T | None:
    """Return the result of `work`, or cancel it and return None when it takes longer than `seconds`."""
    task, alarm = asyncio.ensure_future(work), asyncio.ensure_future(time.sleep(seconds))
    try:
        await asyncio.wait((task, alarm), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:  # also when this call is cancelled itself: neither task may outlive it
        task.cancel()
        alarm.cancel()
