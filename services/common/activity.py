"""Tells whether a shard or predictor is in use: one that is not can leave, and may prefetch while nobody asks."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager


class Activity:
    """Counts the data requests in flight and remembers when the last one ended.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._born = self._last = clock()
        self._in_flight = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._used = asyncio.Event()

    @contextmanager
    def request(self) -> Iterator[None]:
        """Count one data request for as long as it lasts."""
        self._in_flight += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._in_flight -= 1
            self._last = self._clock()
            self._used.set()
            if not self._in_flight:
                self._quiet.set()

    @property
    def idle_seconds(self) -> float:
        """Seconds since the last data request ended; 0 while one is in flight."""
        return 0.0 if self._in_flight else self._clock() - self._last

    @property
    def awake_seconds(self) -> float:
        """Seconds since this object, and so its process, began."""
        return self._clock() - self._born

    def idle_for(self, seconds: float) -> bool:
        """Return whether the last data request ended at least `seconds` ago. 0 stands for no limit: always False."""
        return 0 < seconds <= self.idle_seconds

    async def quiet(self) -> None:
        """Wait until no data request is in flight."""
        await self._quiet.wait()

    async def first_request(self) -> None:
        """Wait until the first data request has been answered."""
        await self._used.wait()
