"""What a shard's endpoints share, and the tasks that run beside them."""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from anyio import CapacityLimiter, to_thread
from prometheus_client.registry import CollectorRegistry

from flstore_core.errors import FLStoreError
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Prefetch
from flstore_core.shard import working_set
from flstore_core.shard.engine import Engine
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from services.common.activity import Activity
from services.common.startup import STORE, Startup
from services.shard.settings import Settings

logger = logging.getLogger(__name__)

PREFETCHES_WAITING = 4096
"""Prefetches that may wait; further ones are dropped, since they are only a help."""

Wanted = tuple[SliceRef, Key, Pattern, MemberRef | None]


@dataclass
class State:
    """The parts of one running shard."""

    settings: Settings
    store: ObjectStore
    engine: Engine
    registry: CollectorRegistry
    startup: Startup
    activity: Activity
    clock: Callable[[], float]
    limiter: CapacityLimiter
    started: float
    queue: asyncio.Queue[Wanted] = field(default_factory=lambda: asyncio.Queue(PREFETCHES_WAITING))
    prefetches_due: int = 0
    """Prefetches that wait or are under way."""

    @property
    def awake_seconds(self) -> float:
        """Seconds since the shard started."""
        return self.clock() - self.started

    def prefetch_later(self, part: SliceRef, wanted: Sequence[Prefetch]) -> None:
        """Have the prefetcher fetch `wanted` once the shard is quiet."""
        for sizes, pattern in wanted:
            for key in sizes:
                self._enqueue((part, key, pattern, None))

    async def open_store(self) -> None:
        """Open the store while the first request is still on its way."""
        try:
            await to_thread.run_sync(self.store.probe, abandon_on_cancel=True)
            self.startup.reached(STORE)
        except FLStoreError as error:
            logger.warning("the object store does not answer", extra={"error": error.detail})

    async def prefetch_when_quiet(self) -> None:
        """Come back warm, then fetch what the policy asks for; always one slice at a time, after users' requests."""
        await self.activity.first_request()
        await self._recall()
        while True:
            wanted = await self.queue.get()
            await self.activity.quiet()
            try:
                await to_thread.run_sync(self.engine.prefetch, *wanted)
            except FLStoreError as error:
                logger.warning("prefetch failed", extra={"key": str(wanted[1]), "error": error.detail})
            finally:
                self.prefetches_due -= 1

    def should_leave(self) -> bool:
        """Say whether nobody has asked for anything during the idle window."""
        return 0 < self.settings.idle_seconds <= self.activity.idle_seconds

    async def save_working_set(self) -> None:
        """Write down what is cached; a failure costs warmth, not data."""
        try:
            await to_thread.run_sync(working_set.save, self.store, self.settings.shard, self.engine)
        except FLStoreError as error:
            logger.warning("the working set was not written", extra={"error": error.detail})

    async def _recall(self) -> None:
        try:
            held = await to_thread.run_sync(lambda: list(working_set.load(self.store, self.settings.shard)))
        except FLStoreError as error:
            logger.warning("the working set was not read", extra={"error": error.detail})
            return
        for wanted in held:
            self._enqueue(wanted)

    def _enqueue(self, wanted: Wanted) -> None:
        try:
            self.queue.put_nowait(wanted)
            self.prefetches_due += 1
        except asyncio.QueueFull:
            logger.debug("prefetch dropped", extra={"key": str(wanted[1])})
