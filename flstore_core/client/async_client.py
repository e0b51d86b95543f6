"""The asyncio client: runs each call of the API over httpx and returns its answer to whoever awaits it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

import httpx

from flstore_core.client.api import Api
from flstore_core.client.bodies import Body, Meter, Progress, ResponseBuffer
from flstore_core.client.endpoint import Endpoint, create_endpoint
from flstore_core.client.exchange import Exchange, NoResponse, Request, Response
from flstore_core.client.retry import retry_for
from flstore_core.client.signatures import document_as
from flstore_core.outbound import find_proxy, trust

P = ParamSpec("P")
T = TypeVar("T")

KEEP_S = 3.0
"""Seconds an idle connection is kept: fewer than any server keeps it, so that none is used while it is closed."""


def _awaited(
    call: Callable[Concatenate[Api, P], Exchange[T]],
) -> "Callable[Concatenate[AsyncFLStore, P], Awaitable[T]]":
    async def method(self: "AsyncFLStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return await self._run(call(self._api, *args, **kwargs))

    return document_as(method, call)


class AsyncFLStore:
    """`FLStore` for asyncio: the same arguments and calls, which are awaited.

    Connections belong to the event loop in which they were opened, and so to its process. `close` closes those of the
    running loop.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 3) -> None:
        self._endpoint = create_endpoint(url, token, timeout)
        self._http: dict[asyncio.AbstractEventLoop, httpx.AsyncClient] = {}
        self._api = Api(retry_for(retries))

    @property
    def url(self) -> str:
        """The gateway's, without a slash at the end."""
        return self._endpoint.url

    create_job = _awaited(Api.create_job)
    jobs = _awaited(Api.jobs)
    job = _awaited(Api.job)
    delete_job = _awaited(Api.delete_job)
    put_update = _awaited(Api.put_update)
    put_aggregate = _awaited(Api.put_aggregate)
    make_aggregate = _awaited(Api.make_aggregate)
    drop_update = _awaited(Api.drop_update)
    drop_aggregate = _awaited(Api.drop_aggregate)
    drop_round = _awaited(Api.drop_round)
    issue_tickets = _awaited(Api.issue_tickets)
    put_program = _awaited(Api.put_program)
    put_dataset = _awaited(Api.put_dataset)
    datasets = _awaited(Api.datasets)
    commit = _awaited(Api.commit)
    rounds = _awaited(Api.rounds)
    round = _awaited(Api.round)
    metrics = _awaited(Api.metrics)
    participation = _awaited(Api.participation)
    norms = _awaited(Api.norms)
    client = _awaited(Api.client)
    get_update = _awaited(Api.get_update)
    get_aggregate = _awaited(Api.get_aggregate)
    get_artifact = _awaited(Api.get_artifact)
    delete_artifact = _awaited(Api.delete_artifact)
    download_raw = _awaited(Api.download_raw)
    download_model = _awaited(Api.download_model)
    download_program = _awaited(Api.download_program)
    download_range = _awaited(Api.download_range)
    erase_client = _awaited(Api.erase_client)
    workloads = _awaited(Api.workloads)
    run = _awaited(Api.run)
    run_anew = _awaited(Api.run_anew)
    submit = _awaited(Api.submit)
    operation = _awaited(Api.operation)
    cancel = _awaited(Api.cancel)
    wait = _awaited(Api.wait)
    placement = _awaited(Api.placement)
    cache = _awaited(Api.cache)
    explain = _awaited(Api.explain)
    cost = _awaited(Api.cost)
    events = _awaited(Api.events)

    async def close(self) -> None:
        """Close the connections."""
        if pools := self._http.pop(asyncio.get_running_loop(), None):
            await pools.aclose()

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_http": {}}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def _run(self, exchange: Exchange[T]) -> T:
        try:
            request = next(exchange)
            while True:
                request = exchange.send(await self._send(request))
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _pools(self) -> httpx.AsyncClient:
        loop = asyncio.get_running_loop()
        if loop not in self._http:
            for ended in [each for each in list(self._http) if each.is_closed()]:
                self._http.pop(ended, None)
            self._http[loop] = _pools(self._endpoint)
        return self._http[loop]

    async def _send(self, request: Request) -> Response | NoResponse:
        await asyncio.sleep(request.delay_s)
        headers = await asyncio.to_thread(self._endpoint.headers_for, request)
        content = _chunks(request.body, request.progress) if request.body else None
        try:
            async with self._pools().stream(
                request.method,
                self._endpoint.url + request.path,
                headers=headers,
                content=content,
            ) as response:
                progress = None if request.body else request.progress
                received = ResponseBuffer(response.headers, progress, request.most_bytes)
                async for chunk in response.aiter_raw():
                    received.add(chunk)
        except httpx.TransportError as error:
            return self._endpoint.no_response(error, timed_out=_is_silence(error))
        return Response(response.status_code, dict(response.headers), received.body)


def _pools(endpoint: Endpoint) -> httpx.AsyncClient:
    """Return connection pools, through the environment's proxy if it names one for the address."""
    proxy = find_proxy(endpoint.url)
    return httpx.AsyncClient(
        timeout=httpx.Timeout(endpoint.silence_s, connect=endpoint.connect_s, pool=None),
        limits=httpx.Limits(keepalive_expiry=KEEP_S),
        proxy=httpx.Proxy(proxy.url, headers=proxy.headers) if proxy else None,
        verify=trust(None) if endpoint.url.startswith("https:") else False,
        trust_env=False,  # `find_proxy` has read it, for this client as for the others.
    )


def _is_silence(error: httpx.TransportError) -> bool:
    return isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)


async def _chunks(body: Body, progress: Progress | None) -> AsyncIterator[bytes]:
    meter = Meter(progress, body.nbytes)
    chunks = body.chunks()
    while chunk := await asyncio.to_thread(next, chunks, b""):
        yield bytes(chunk)
        meter.add(len(chunk))
