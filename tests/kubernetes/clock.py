"""Time that passes when the test says so, while calls over a connection take as long as they take."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.fakes.time import FakeTime
from tests.waiting import DEADLINE_S

STEP_S = 0.5
BREATH_S = 0.002

Condition = Callable[[], bool] | Callable[[], Awaitable[bool]]


class Clock(FakeTime):
    """A clock that leaves real time, after each step, for what the step sets off."""

    def __init__(self, breath_s: float = BREATH_S) -> None:
        """`breath_s` is how long, in real seconds, that is."""
        super().__init__()
        self._breath_s = breath_s

    async def pass_(self, seconds: float) -> None:
        """Let time pass in small steps."""
        end = self.monotonic() + seconds
        while self.monotonic() < end:
            await self._step(min(STEP_S, end - self.monotonic()))

    async def until(self, condition: Condition, most_s: float = 120.0) -> float:
        """Let time pass until `condition` holds and return how much did; fail after `most_s`."""
        begun = self.monotonic()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + DEADLINE_S
        while not await _holds(condition):
            assert self.monotonic() - begun < most_s, f"it did not come true within {most_s} s of the clock's"
            assert loop.time() < deadline, "it did not come true in time"
            await self._step(STEP_S)
        return self.monotonic() - begun

    async def _step(self, seconds: float) -> None:
        self.wake_until(self.monotonic() + seconds)
        await asyncio.sleep(self._breath_s)


async def _holds(condition: Condition) -> bool:
    holds = condition()
    return holds if isinstance(holds, bool) else await holds
