"""The client for asyncio: every call of `Calls`, awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Concatenate, ParamSpec, Self, TypeVar

import httpx

from flstore_core.client.calls import Calls
from flstore_core.client.connection import connection
from flstore_core.client.documentation import described
from flstore_core.client.retry import Backoff
from flstore_core.client.wire import Body, Flow, Inbox, Lost, Meter, Progress, Reply, Request

P = ParamSpec("P")
T = TypeVar("T")

KEEP_S = 3.0
"""Seconds an idle connection is kept: less than any server keeps it, so that none is used as it is being closed."""


def _awaited(call: Callable[Concatenate[Calls, P], Flow[T]]) -> "Callable[Concatenate[AsyncFLStore, P], Awaitable[T]]":
    async def method(self: "AsyncFLStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._drive(call(self._calls, *args, **kwargs))

    return described(method, call)


class AsyncFLStore:
    """`FLStore` for asyncio: the same calls and arguments, to be awaited."""

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 3) -> None:
        self._at = connection(url, token, timeout)
        patience = httpx.Timeout(timeout, connect=self._at.connect_s, pool=None)
        self._http = httpx.AsyncClient(timeout=patience, limits=httpx.Limits(keepalive_expiry=KEEP_S))
        self._calls = Calls(Backoff(retries))

    create_job = _awaited(Calls.create_job)
    jobs = _awaited(Calls.jobs)
    job = _awaited(Calls.job)
    delete_job = _awaited(Calls.delete_job)
    put_update = _awaited(Calls.put_update)
    put_aggregate = _awaited(Calls.put_aggregate)
    put_program = _awaited(Calls.put_program)
    put_dataset = _awaited(Calls.put_dataset)
    commit = _awaited(Calls.commit)
    rounds = _awaited(Calls.rounds)
    round = _awaited(Calls.round)
    get_update = _awaited(Calls.get_update)
    get_aggregate = _awaited(Calls.get_aggregate)
    get_artifact = _awaited(Calls.get_artifact)
    download_raw = _awaited(Calls.download_raw)
    erase_client = _awaited(Calls.erase_client)
    workloads = _awaited(Calls.workloads)
    run = _awaited(Calls.run)
    run_anew = _awaited(Calls.run_anew)
    submit = _awaited(Calls.submit)
    operation = _awaited(Calls.operation)
    wait = _awaited(Calls.wait)
    placement = _awaited(Calls.placement)
    cache = _awaited(Calls.cache)

    async def close(self) -> None:
        """Let go of connections."""
        await self._http.aclose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _drive(self, flow: Flow[T]) -> T:
        try:
            request = next(flow)
            while True:
                request = flow.send(await self._exchange(request))
        except StopIteration as end:
            answer: T = end.value
            return answer

    async def _exchange(self, request: Request) -> Reply | Lost:
        await asyncio.sleep(request.after)
        content = _sent(request.body, request.progress) if request.body else None
        try:
            async with self._http.stream(
                request.method, self._at.url + request.path, headers=self._at.headers_of(request), content=content
            ) as response:
                inbox = Inbox(response.headers, None if request.body else request.progress)
                async for chunk in response.aiter_raw():
                    inbox.add(chunk)
        except httpx.TransportError as error:
            return self._at.lost(error, silent=_is_silence(error))
        headers = {name.lower(): text for name, text in response.headers.items()}
        return Reply(response.status_code, headers, inbox.body)


def _is_silence(error: httpx.TransportError) -> bool:
    return isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)


async def _sent(body: Body, progress: Progress | None) -> AsyncIterator[bytes]:
    meter = Meter(progress, body.nbytes)
    chunks = body.chunks()
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield bytes(chunk)
        meter.add(len(chunk))
