"""A work queue. Work is serial for one object and parallel across objects, with growing pauses after failures.

The idea is controller-runtime's: a queue holds keys and no changes, and the handler looks at the newest state. Each key
has a task of its own and one flag, "due". For one key, over time:

    add("a")                      due; the task starts and calls handle("a")
    add("a") add("a") meanwhile   due again, once: handle("a") runs once more when the first call ends
    handle("a") raises            called again after 0.5 s, then 1 s, 2 s, … up to 60 s; adding it does not shorten that
    handle("a") returns False     "a" no longer exists: its task ends, unless it was added meanwhile
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable

from flstore_core.errors import FLStoreError
from flstore_core.retry import Retry, growing
from services.common import tasks
from services.placement.timing import Time

logger = logging.getLogger(__name__)

FIRST_PAUSE_S = 0.5
"""Pause after the first failure in a row, in seconds."""
MOST_PAUSE_S = 60.0
"""Longest pause, in seconds."""


class Workers:
    """Calls `handle(key)` soon after each `add(key)`."""

    def __init__(self, name: str, handle: Callable[[str], Awaitable[bool]], time: Time) -> None:
        """`handle` returns whether the object still exists, and raises an `FLStoreError` to be called again.

        `name` says what the keys are, for the log.
        """
        self._name = name
        self._handle = handle
        self._time = time
        self._due: dict[str, asyncio.Event] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}

    def add(self, key: str) -> None:
        """Have `key` handled soon."""
        if key not in self._due:
            self._due[key] = asyncio.Event()
            self._tasks[key] = tasks.begin(self._work(key, self._due[key]), f"{self._name} {key}")
        self._due[key].set()

    async def close(self) -> None:
        """Cancel all work and wait until it has ended."""
        running = list(self._tasks.values())
        self._due.clear()
        self._tasks.clear()
        await tasks.end(*running)

    async def _work(self, key: str, due: asyncio.Event) -> None:
        attempts, exists = Retry(growing(FIRST_PAUSE_S, MOST_PAUSE_S)).begin(), True
        while exists or due.is_set():
            await due.wait()
            due.clear()  # before the call: an `add` during it may tell of a change that the handler has not seen
            try:
                exists = await self._handle(key)
                attempts.succeeded()
            except FLStoreError as error:
                attempts.failed()
                logger.warning("%s %s: %s", self._name, key, error, extra={"pause_s": attempts.pause_s})
                await self._time.sleep(attempts.pause_s)
                due.set()
        self._due.pop(key, None)
        self._tasks.pop(key, None)
