"""Time that passes when the test says so, while what happens meanwhile takes as long as it takes."""

import asyncio
import heapq
import itertools
from collections.abc import Awaitable, Callable

from tests.waiting import DEADLINE_S

STEP_S = 0.5
BREATH_S = 0.002

Condition = Callable[[], bool] | Callable[[], Awaitable[bool]]


class Clock:
    """A `Time` whose seconds are a test's."""

    def __init__(self, breath_s: float = BREATH_S) -> None:
        """`breath_s` is how long, in real seconds, each step leaves for what it sets off."""
        self._breath_s = breath_s
        self._seconds = 1_000.0
        self._order = itertools.count()
        self._sleeping: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._seconds

    def now(self) -> float:
        return 1_790_000_000.0 + self._seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleeping, (self._seconds + seconds, next(self._order), woken))
        await woken

    async def pass_(self, seconds: float) -> None:
        """Let time pass in small steps, with room after each for what it sets off."""
        end = self._seconds + seconds
        while self._seconds < end:
            await self._step(min(STEP_S, end - self._seconds))

    async def until(self, condition: Condition, most_s: float = 120.0) -> float:
        """Let time pass until `condition` holds and return how much did; fail after `most_s`."""
        begun = self._seconds
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEADLINE_S
        while not await _holds(condition):
            assert self._seconds - begun < most_s, f"it did not come true within {most_s} s of the clock's"
            assert loop.time() < deadline, "it did not come true in time"
            await self._step(STEP_S)
        return self._seconds - begun

    async def _step(self, seconds: float) -> None:
        self._seconds += seconds
        while self._sleeping and self._sleeping[0][0] <= self._seconds:
            _, _, woken = heapq.heappop(self._sleeping)
            if not woken.done():
                woken.set_result(None)
        await asyncio.sleep(self._breath_s)


async def _holds(condition: Condition) -> bool:
    holds = condition()
    return holds if isinstance(holds, bool) else await holds
