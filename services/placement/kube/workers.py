"""Reconciling: serial for one object, parallel across objects, with growing pauses after failures."""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from flstore_core.errors import FLStoreError
from flstore_core.retry import Retry, growing
from services.common import tasks
from services.placement.kube.timing import Time

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 60.0


class Workers:
    """Calls `handle(key)` soon after each `add(key)`; what is added many times meanwhile is handled once."""

    def __init__(self, name: str, handle: Callable[[str], Awaitable[bool]], time: Time) -> None:
        """`handle` returns whether the object still exists; an `FLStoreError` has it called again after a pause."""
        self._name = name
        self._handle = handle
        self._time = time
        self._wanted: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, key: str) -> None:
        if key not in self._wanted:
            self._wanted[key] = asyncio.Event()
            self._tasks[key] = tasks.begin(self._work(key, self._wanted[key]), f"{self._name} {key}")
        self._wanted[key].set()

    async def close(self) -> None:
        running = list(self._tasks.values())
        self._wanted.clear()
        self._tasks.clear()
        await tasks.end(*running)

    async def _work(self, key: str, wanted: asyncio.Event) -> None:
        attempts, exists = Retry(growing(FIRST_PAUSE_S, MOST_PAUSE_S)).begin(), True
        while exists or wanted.is_set():
            await wanted.wait()
            wanted.clear()
            try:
                exists = await self._handle(key)
                attempts.succeeded()
            except FLStoreError as error:
                attempts.failed()
                logger.warning("%s %s: %s", self._name, key, error, extra={"pause_s": attempts.pause_s})
                await self._time.sleep(attempts.pause_s)
                wanted.set()
        self._wanted.pop(key, None)
        self._tasks.pop(key, None)
