"""Controllers at work in a test's cluster."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from flstore_core import layout
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from flstore_core.schema import Schema, TensorSpec
from flstore_core.storage.directory import DirectoryStore
from services.common.proof import Keys
from services.placement.app import create_app
from services.placement.kube.cluster import Cluster as KubernetesCluster
from services.placement.kube.connect import connect_to
from services.placement.kube.resources import FLJOBS, KNATIVE_SERVICES
from services.placement.kube.settings import KubernetesSettings
from services.placement.settings import Settings
from services.placement.state import State, create_cluster_state
from tests.kubernetes.clock import Clock
from tests.kubernetes.cluster import OWNER, Cluster, cluster
from tests.kubernetes.knative import Knative

Json = dict[str, Any]

MIB = 1 << 20
SCHEMA = Schema.of([TensorSpec("weight", "F32", (256, 1024))])
"""1 MiB an update."""


def job(name: str, **settings: Any) -> Job:
    """Return a job whose working set, by default, is 6 MiB: (1 client + aggregate) × (2 hot rounds + the open one)."""
    return Job(JobId(name), SCHEMA, **{"clients_per_round": 1, "created_at": 1.0, **settings})


def fljob(name: str, **spec: Any) -> Json:
    rows = [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in SCHEMA.tensors]
    return {**FLJOBS.head(name), "spec": {"schema": rows, "clientsPerRound": 1, **spec}}


@dataclass
class Running:
    """One controller."""

    state: State
    client: httpx.AsyncClient
    task: asyncio.Task[None] | None = None

    @property
    def leading(self) -> bool:
        return self.state.leadership is not None and self.state.leadership.leading

    async def stop(self) -> None:
        """End it as SIGTERM does: it says farewell."""
        if self.task is not None:
            self.task.cancel()
            await asyncio.wait([self.task])
            self.task = None

    async def place(self, name: str) -> httpx.Response:
        return await self.client.post(f"/v1/placement/jobs/{name}")

    async def phase(self, shard: str) -> str:
        """Return a shard's state; `none` if there is no such shard, or the controller cannot say now."""
        answer = await self.client.get("/v1/shards")
        if answer.is_server_error:
            return "none"
        return next((row["state"] for row in answer.json() if row["shard"] == shard), "none")


class Network(httpx.AsyncBaseTransport):
    """By what controllers reach each other, without sockets."""

    def __init__(self) -> None:
        self.hosts: dict[str, httpx.ASGITransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if request.url.host not in self.hosts:
            raise httpx.ConnectError(f"no host {request.url.host}")
        return await self.hosts[request.url.host].handle_async_request(request)


@dataclass
class World:
    """A cluster, a store, a clock, and the controllers that a test starts."""

    cluster: Cluster
    store: DirectoryStore
    clock: Clock
    stack: AsyncExitStack
    env: dict[str, str] = field(default_factory=dict)
    running: list[Running] = field(default_factory=list)
    network: Network = field(default_factory=Network)

    @property
    def knative(self) -> Knative:
        return Knative(self.cluster.hand)

    async def start(self, identity: str = "one", **settings: Any) -> Running:
        """Start a controller; of several, the first will lead."""
        chosen = Settings(**{"shards": 4, "cache_bytes": 8 * MIB, "resync_s": 5.0, **settings})
        kubernetes = KubernetesSettings.from_env(
            {
                "FLSTORE_NAMESPACE": self.cluster.namespace,
                "FLSTORE_SHARD_IMAGE": "flstore:test",
                "FLSTORE_PREDICTOR_IMAGE": "flstore-torch:test",
                "FLSTORE_OWNER_NAME": OWNER,
                "FLSTORE_STORE_SECRET": "store",
                "FLSTORE_STORE": "s3://bucket",
                "HOSTNAME": identity,
                "FLSTORE_ADDRESS": f"http://{identity}",
                **self.env,
            }
        )
        api = connect_to(f"{self.cluster.url}/as/{identity}", self.cluster.namespace)
        client = httpx.AsyncClient(transport=self.network)
        here = KubernetesCluster(api, kubernetes, self.clock)
        state = create_cluster_state(chosen, self.store, here, client)
        running = Running(state, await self._serve(state, identity))
        self.running.append(running)
        running.task = asyncio.create_task(state.run(), name=f"controller {identity}")
        return running

    async def lead(self, **settings: Any) -> Running:
        """Start a controller and let it become ready."""
        running = await self.start(**settings)
        await self.clock.until(lambda: running.state.controller.ready)
        return running

    async def dies(self, controller: Running) -> None:
        """End a controller without a farewell."""
        self.cluster.wire.down = True
        self.cluster.wire.cut()
        self.network.hosts.pop(controller.client.base_url.host)
        await controller.stop()
        self.cluster.wire.down = False

    def stored(self, *records: Job) -> None:
        """Create jobs as a gateway does."""
        for record in records:
            self.store.put(layout.job(record.id), to_bytes(record.to_json()), if_none_match=True)

    async def services(self) -> list[str]:
        return await self.cluster.hand.names(KNATIVE_SERVICES)

    async def shows(self, name: str, kind: str, value: str = "True", reason: str = "") -> Json:
        """Let time pass until an FLJob has a condition, and return it."""
        condition: Json = {}

        async def has() -> bool:
            nonlocal condition
            condition = await self.condition(name, kind)
            return condition.get("status") == value and reason in ("", condition["reason"])

        try:
            await self.clock.until(has)
        except AssertionError as error:
            raise AssertionError(f"FLJob {name!r} shows {condition or 'nothing'} for {kind}") from error
        return condition

    async def condition(self, name: str, kind: str) -> Json:
        conditions = (await self.status(name)).get("conditions", ())
        return next((condition for condition in conditions if condition["type"] == kind), {})

    async def status(self, name: str) -> Json:
        item = await self.cluster.hand.get(FLJOBS, name)
        shown: Json = (item or {}).get("status", {})
        return shown

    async def tells(self, reason: str) -> str:
        """Let time pass until there is an event with a reason, and return its message."""
        messages: Sequence[str] = ()

        async def is_there() -> bool:
            nonlocal messages
            messages = await self.cluster.hand.events(reason)
            return bool(messages)

        try:
            await self.clock.until(is_there)
        except AssertionError as error:
            raise AssertionError(f"no event {reason!r}") from error
        return messages[0]

    async def _serve(self, state: State, identity: str) -> httpx.AsyncClient:
        """Return a client of the controller's own endpoints; controllers reach each other the same way."""
        app = create_app(lambda: state, Keys())
        app.state.placement = state
        self.network.hosts[identity] = httpx.ASGITransport(app=app)
        client = httpx.AsyncClient(transport=self.network, base_url=f"http://{identity}")
        return await self.stack.enter_async_context(client)


@asynccontextmanager
async def world(folder: Path) -> AsyncIterator[World]:
    """Yield a world; whatever was started in it ends with it."""
    async with AsyncExitStack() as stack:
        here = await stack.enter_async_context(cluster())
        made = World(here, DirectoryStore(folder), Clock(here.breath_s), stack)
        try:
            yield made
        finally:
            for each in made.running:
                await each.stop()
                await each.state.close()
