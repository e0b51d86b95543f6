"""Fetches slices before anybody asks for them: what the policy wants next, and what the shard held before it left.

Prefetches wait in one queue. They run one at a time, and each begins only while no request is in flight, so that a
request hardly ever waits for one. When the queue is full, further prefetches are dropped.
"""

import asyncio
import logging
from collections.abc import Sequence

from anyio import to_thread

from flstore_core.errors import FLStoreError
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Prefetch
from flstore_core.shard import working_set
from flstore_core.shard.engine import Engine
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from services.common.activity import Activity

logger = logging.getLogger(__name__)

WAITING = 4096
"""Prefetches that may wait."""

Planned = tuple[SliceRef, Key, Pattern, MemberRef | None]
"""A prefetch, as the arguments of `Engine.prefetch`."""


class Prefetcher:
    """The queue of one shard's prefetches, and its working set in the store."""

    def __init__(self, shard: str, store: ObjectStore, engine: Engine, activity: Activity) -> None:
        self._shard = shard
        self._store = store
        self._engine = engine
        self._activity = activity
        self._queue: asyncio.Queue[Planned] = asyncio.Queue(WAITING)
        self.due = 0
        """Prefetches that wait or are under way."""

    def add(self, part: SliceRef, prefetches: Sequence[Prefetch]) -> None:
        """Queue what a policy wants fetched."""
        for sizes, pattern in prefetches:
            for key in sizes:
                self._add((part, key, pattern, None))

    async def run(self) -> None:
        """Queue what the shard held before, then run the queued prefetches one by one, until cancelled.

        Nothing begins before the first request is answered, because the caller who woke the shard is waiting for it.
        """
        await self._activity.first_request()
        await self._recall()
        while True:
            planned = await self._queue.get()
            await self._activity.quiet()
            try:
                await to_thread.run_sync(self._engine.prefetch, *planned)
            except FLStoreError as error:
                logger.warning("prefetch failed", extra={"key": str(planned[1]), "error": error.detail})
            finally:
                self.due -= 1

    async def save(self) -> None:
        """Write the list of what is cached to the store. If that fails, the next process starts with a cold cache."""
        try:
            await to_thread.run_sync(working_set.save, self._store, self._shard, self._engine)
        except FLStoreError as error:
            logger.warning("the working set was not written", extra={"error": error.detail})

    async def _recall(self) -> None:
        """Queue what the shard held when it last left."""
        try:
            recalled = await to_thread.run_sync(lambda: list(working_set.load(self._store, self._shard)))
        except FLStoreError as error:
            logger.warning("the working set was not read", extra={"error": error.detail})
            return
        for planned in recalled:
            self._add(planned)

    def _add(self, planned: Planned) -> None:
        try:
            self._queue.put_nowait(planned)
            self.due += 1
        except asyncio.QueueFull:
            logger.debug("prefetch dropped", extra={"key": str(planned[1])})
