"""The parts of a placement controller, wired together, on this machine or on a cluster."""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import httpx

from flstore_core.ids import ShardId
from flstore_core.storage import ObjectStore
from services.common.proof import Keys
from services.placement.assignments import Assignments
from services.placement.board import Board
from services.placement.controller import Controller
from services.placement.fleet import Fleet
from services.placement.forwarding import Leadership
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.runtime import BackendState, Runtime, Start, Watcher
from services.placement.settings import Settings
from services.placement.signing import Signed
from services.placement.timing import RealTime, Time

if TYPE_CHECKING:
    from services.placement.kube.cluster import Cluster

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class State:
    """What the controller's endpoints share."""

    settings: Settings
    store: ObjectStore
    runtime: Runtime
    board: Board
    metrics: Metrics
    controller: Controller
    assignments: Assignments
    client: httpx.AsyncClient
    """Calls shards and other controllers."""
    leadership: Leadership | None = None
    """By which several controllers agree on the one that leads; None if there is only one controller."""

    async def run(self) -> None:
        """Keep backends and table as the jobs need them, until cancelled."""
        await (self.leadership.run() if self.leadership else self.controller.run(self.settings.resync_s))

    async def close(self) -> None:
        """End the backends that cannot outlive this controller, and close everything."""
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
    time: Time | None = None,
    client: httpx.AsyncClient | None = None,
    keys: Keys | None = None,
) -> State:
    """Return the parts of a controller. Call this on the event loop.

    Args:
        elastic: as for `Fleet`.
        client: sends requests; the state closes it. The first of `keys` signs what it sends.
    """
    time = time or RealTime()
    board, metrics = Board(time), Metrics()
    client = client or httpx.AsyncClient(trust_env=False, limits=httpx.Limits(max_keepalive_connections=0))
    client.auth = Signed(keys or Keys())
    assignments = Assignments(board, client, time)
    runtime = make_runtime(_Reporter(assignments, metrics))
    fleet = Fleet(runtime, settings.specs(), elastic)
    controller = Controller(Memory(store), fleet, board, metrics, time)
    return State(settings, store, runtime, board, metrics, controller, assignments, client)


def create_cluster_state(
    settings: Settings,
    store: ObjectStore,
    cluster: "Cluster",
    client: httpx.AsyncClient | None = None,
    keys: Keys | None = None,
) -> State:
    """Return the parts of a controller on Kubernetes. Call this on the event loop."""
    # Imported here, because a laptop has no Kubernetes client.
    from services.placement.fljobs.loop import FLJobs
    from services.placement.operator import Operator
    from services.placement.runtime.knative.runtime import KnativeRuntime

    state = create_state(
        settings,
        store,
        lambda watcher: KnativeRuntime(cluster, watcher),
        elastic=True,
        time=cluster.time,
        client=client,
        keys=keys,
    )
    runtime = state.runtime
    assert isinstance(runtime, KnativeRuntime)
    fljobs = FLJobs(cluster, runtime, state.controller, store, state.client)
    return replace(state, leadership=Operator(cluster, runtime, state.controller, fljobs, settings.resync_s))


@dataclass(frozen=True)
class _Reporter:
    """The runtime's watcher: logs and counts what happens to backends, and has awake ones told what they own."""

    assignments: Assignments
    metrics: Metrics

    def changed(self, state: BackendState) -> None:
        logger.info("%s is %s", state.id, state.phase.value, extra={"shard": state.id, "pid": state.pid})
        self.assignments.changed(state)

    def started(self, backend: ShardId, start: Start) -> None:
        logger.info("%s started: %s", backend, start, extra={"shard": backend, **start.to_json()})
        self.metrics.count_start(start)
