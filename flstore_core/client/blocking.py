"""The client for ordinary code: every call of `Calls`, waited for."""

import time
from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, Self, TypeVar
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import urllib3
from urllib3.exceptions import HTTPError, ReadTimeoutError

from flstore_core.client.calls import Calls
from flstore_core.client.connection import Connection, connection
from flstore_core.client.documentation import described
from flstore_core.client.retry import Backoff
from flstore_core.client.wire import CHUNK, Body, Flow, Inbox, Lost, Meter, Progress, Reply, Request

P = ParamSpec("P")
T = TypeVar("T")

IDLE_CONNECTIONS = 32
"""Connections that are kept for the next call, of one client; further ones are closed after theirs."""


def _waiting(call: Callable[Concatenate[Calls, P], Flow[T]]) -> "Callable[Concatenate[FLStore, P], T]":
    def method(self: "FLStore", /, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._drive(call(self._calls, *args, **kwargs))

    return described(method, call)


class FLStore:
    """An FLStore deployment, as seen over HTTP. Safe to share between threads.

    Every call that meets a passing trouble (connection lost, 408, 429, 503) is tried again, `retries` times, with
    growing waits. Errors are those of `flstore_core.errors`, the same classes the server raised.

    Args:
        url: of the gateway, such as `http://127.0.0.1:8080`.
        token: bearer token, where the server asks for one.
        timeout: seconds of silence from the server after which a call gives up.
        retries: further attempts after the first.
    """

    def __init__(self, url: str, token: str | None = None, *, timeout: float = 60.0, retries: int = 3) -> None:
        self._at = connection(url, token, timeout)
        self._http = _pools(self._at)
        self._calls = Calls(Backoff(retries))

    create_job = _waiting(Calls.create_job)
    jobs = _waiting(Calls.jobs)
    job = _waiting(Calls.job)
    delete_job = _waiting(Calls.delete_job)
    put_update = _waiting(Calls.put_update)
    put_aggregate = _waiting(Calls.put_aggregate)
    put_program = _waiting(Calls.put_program)
    put_dataset = _waiting(Calls.put_dataset)
    commit = _waiting(Calls.commit)
    rounds = _waiting(Calls.rounds)
    round = _waiting(Calls.round)
    get_update = _waiting(Calls.get_update)
    get_aggregate = _waiting(Calls.get_aggregate)
    get_artifact = _waiting(Calls.get_artifact)
    download_raw = _waiting(Calls.download_raw)
    erase_client = _waiting(Calls.erase_client)
    workloads = _waiting(Calls.workloads)
    run = _waiting(Calls.run)
    run_anew = _waiting(Calls.run_anew)
    submit = _waiting(Calls.submit)
    operation = _waiting(Calls.operation)
    wait = _waiting(Calls.wait)
    placement = _waiting(Calls.placement)
    cache = _waiting(Calls.cache)

    def close(self) -> None:
        """Let go of connections."""
        self._http.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drive(self, flow: Flow[T]) -> T:
        try:
            request = next(flow)
            while True:
                request = flow.send(self._exchange(request))
        except StopIteration as end:
            answer: T = end.value
            return answer

    def _exchange(self, request: Request) -> Reply | Lost:
        time.sleep(request.after)
        content: Any = _sent(request.body, request.progress) if request.body else None
        try:
            with self._http.request(
                request.method,
                self._at.url + request.path,
                headers=self._at.headers_of(request),
                body=content,
                preload_content=False,
                redirect=False,
            ) as response:
                headers = {name.lower(): text for name, text in response.headers.items()}
                inbox = Inbox(headers, None if request.body else request.progress)
                for chunk in response.stream(CHUNK, decode_content=False):
                    inbox.add(chunk)
        except HTTPError as error:
            return self._at.lost(error, silent=isinstance(error, ReadTimeoutError))
        return Reply(response.status, headers, inbox.body)


def _pools(at: Connection) -> urllib3.PoolManager:
    """Return pools of connections that go through the environment's proxy, where it names one for the address."""
    options: dict[str, Any] = {
        "maxsize": IDLE_CONNECTIONS,
        "retries": False,
        "timeout": urllib3.Timeout(connect=at.connect_s, read=at.silence_s),
    }
    address = urlsplit(at.url)
    proxy = getproxies().get(address.scheme)
    if proxy and not proxy_bypass(address.netloc):
        return urllib3.ProxyManager(proxy, **options)
    return urllib3.PoolManager(**options)


def _sent(body: Body, progress: Progress | None) -> Iterator[bytes | memoryview]:
    meter = Meter(progress, body.nbytes)
    for chunk in body.chunks():
        yield chunk
        meter.add(len(chunk))
