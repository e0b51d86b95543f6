"""Stands in for what Knative puts before a shard: the activator, which holds requests, and queue-proxy, which drains.

The pods behind it are real shards, run in this process; their requests and answers travel over real HTTP.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from aiohttp import web

from flstore_core.ids import ShardId
from flstore_core.storage.directory import DirectoryStore
from services.common.proof import Keys
from services.placement.timing import Time
from services.shard.app import create_app
from services.shard.settings import Settings
from services.shard.state import State, create_state
from tests.kubernetes.apiserver import serving

DRAIN_S = 30.0
"""queue-proxy goes on answering for so long before the process learns that it is to leave."""


@dataclass
class Pod:
    """One shard process."""

    state: State
    client: httpx.AsyncClient
    life: AsyncExitStack
    under_way: int = 0
    draining: bool = False


@dataclass
class QueueProxy:
    """The way to a shard's pods."""

    folder: Path
    time: Time
    pods: list[Pod] = field(default_factory=list)
    held: int = 0
    """Requests that wait for a pod."""
    answers_to_lose: int = 0
    """So many next answers come after the timeout: the request is run again."""
    ready: asyncio.Event = field(default_factory=asyncio.Event)

    async def start_pod(self) -> Pod:
        """Start a pod; it takes the requests from now on, with others that are there."""
        store = DirectoryStore(self.folder)
        settings = Settings(ShardId("shard-0"), str(self.folder), cache_bytes=1 << 24)
        state = create_state(settings, store, self.time.monotonic)
        app, life = create_app(state, Keys()), AsyncExitStack()
        await life.enter_async_context(app.router.lifespan_context(app))
        client = httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://shard")
        await life.enter_async_context(client)
        pod = Pod(state, client, life)
        self.pods.append(pod)
        self.ready.set()
        return pod

    async def drain(self, pod: Pod) -> None:
        """Have a pod leave as Knative does: out of service where another serves, 30 s of grace, then SIGTERM."""
        pod.draining = True
        await self.time.sleep(DRAIN_S)
        self.pods.remove(pod)
        if not self.pods:
            self.ready.clear()
        while pod.under_way:
            await asyncio.sleep(0)
        await pod.life.aclose()  # which is what SIGTERM leads to

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = await request.read()
        self.held += 1
        await self.ready.wait()
        self.held -= 1
        answer = await self._run(request, body)
        if self.answers_to_lose:
            self.answers_to_lose -= 1
            answer = await self._run(request, body)
        headers = {name: text for name, text in answer.headers.items() if name.startswith(("x-", "content-type"))}
        return web.Response(body=answer.content, status=answer.status_code, headers=headers)

    async def _run(self, request: web.BaseRequest, body: bytes) -> httpx.Response:
        pod = min(self.pods, key=lambda each: each.draining)
        pod.under_way += 1
        try:
            headers = {name: value for name, value in request.headers.items() if name.lower().startswith("x-")}
            return await pod.client.request(request.method, request.path_qs, content=body, headers=headers)
        finally:
            pod.under_way -= 1


@asynccontextmanager
async def queue_proxy(folder: Path, time: Time) -> AsyncIterator[tuple[str, QueueProxy]]:
    """Yield the address of a shard at zero, and what stands before it."""
    proxy = QueueProxy(folder, time)
    async with serving(proxy.handle) as url:
        try:
            yield url, proxy
        finally:
            for pod in proxy.pods:
                await pod.life.aclose()
