"""The parts of a placement controller, wired together."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import httpx

from flstore_core.ids import ShardId
from flstore_core.storage import ObjectStore
from services.placement.assignments import Assignments
from services.placement.board import Board
from services.placement.controller import Controller
from services.placement.forwarding import Leadership
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.runtime import Cause, Runtime, ShardState, Watcher
from services.placement.settings import Settings

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """Everything a request may need."""

    settings: Settings
    store: ObjectStore
    runtime: Runtime
    board: Board
    metrics: Metrics
    controller: Controller
    assignments: Assignments
    client: httpx.AsyncClient
    leadership: Leadership | None = None
    """How several controllers agree who acts; None where there is one only."""

    async def run(self) -> None:
        """Keep shards and table as the jobs need them, until cancelled."""
        await (self.leadership.run() if self.leadership else self.controller.run(self.settings.resync_s))

    async def close(self) -> None:
        """End the shards and let go of everything."""
        await self.assignments.close()
        await self.runtime.close()
        if self.leadership is not None:
            await self.leadership.close()
        await self.client.aclose()
        await asyncio.to_thread(self.store.close)


def create_state(
    settings: Settings,
    store: ObjectStore,
    make_runtime: Callable[[Watcher], Runtime],
    *,
    elastic: bool = False,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    client: httpx.AsyncClient | None = None,
) -> State:
    """Return the parts; called where the event loop runs. `elastic` and `sleep` as for `Controller`.

    `client` reaches shards and other controllers, and is closed with the rest.
    """
    board, metrics = Board(), Metrics()
    client = client or httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
    assignments = Assignments(board, client)
    runtime = make_runtime(_Told(assignments, metrics))
    controller = Controller(Memory(store), runtime, settings.specs(), board, metrics, elastic=elastic, sleep=sleep)
    return State(settings, store, runtime, board, metrics, controller, assignments, client)


@dataclass(frozen=True)
class _Told:
    """Passes on what the runtime tells."""

    assignments: Assignments
    metrics: Metrics

    def changed(self, state: ShardState) -> None:
        logger.info("shard %s is %s", state.shard, state.phase.value, extra={"pid": state.pid})
        self.assignments.changed(state)

    def started(self, shard: ShardId, cause: Cause, seconds: float) -> None:
        logger.info("shard %s started", shard, extra={"cause": cause.value, "seconds": round(seconds, 3)})
        self.metrics.started(shard, cause, seconds)
