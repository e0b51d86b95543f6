"""A `Time` of the controller whose seconds pass only when the test says so, without real pauses."""

import asyncio
import heapq
import itertools

TURNS = 25
"""Turns of the event loop after each step: enough for what a step sets off in one process."""
EPOCH_S = 1_790_000_000.0


class FakeTime:
    """A clock to wait on; `advance` wakes sleepers in the order in which their time comes."""

    def __init__(self) -> None:
        self._seconds = 1_000.0
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []

    def monotonic(self) -> float:
        return self._seconds

    def now(self) -> float:
        return EPOCH_S + self._seconds

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._seconds + seconds, next(self._order), woken))
        await woken

    def wake_until(self, end: float) -> None:
        """Set the clock to `end`, and wake everybody whose time has come by then."""
        self._seconds = end
        while self._sleepers and self._sleepers[0][0] <= end:
            _, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                woken.set_result(None)

    async def advance(self, seconds: float) -> None:
        """Let time pass, and after each sleeper's awakening let the loop run until it has done what follows."""
        end = self._seconds + seconds
        await settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self.wake_until(self._sleepers[0][0])
            await settle()
        self.wake_until(end)
        await settle()


class SkewedTime:
    """Another machine's view of a `FakeTime`: its clock starts elsewhere and runs `rate` times as fast."""

    def __init__(self, time: FakeTime, rate: float = 1.0, ahead_s: float = 0.0) -> None:
        self._time = time
        self._rate = rate
        self._ahead_s = ahead_s

    def monotonic(self) -> float:
        return self._rate * self._time.monotonic() + self._ahead_s

    def now(self) -> float:
        return self._time.now() + self._ahead_s

    async def sleep(self, seconds: float) -> None:
        await self._time.sleep(seconds / self._rate)


async def settle() -> None:
    """Let the event loop run until whatever is ready has been done."""
    for _ in range(TURNS):
        await asyncio.sleep(0)
