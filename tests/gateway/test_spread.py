"""Three gateways behind one address that spreads connections, as kube-proxy does, and clients that keep theirs."""

import itertools
import select
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import numpy as np
import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from flstore_core.client import AsyncFLStore, FLStore
from services.common.renewal import Renewal
from services.gateway.app import create_app
from tests.gateway.world import World, world
from tests.serving import served

REQUESTS = 10
"""Requests after which a connection ends; without chance, so that the numbers below are exact."""
CLIENTS = 6


@dataclass
class Copy:
    """One gateway, and how many requests it answered."""

    app: ASGIApp
    requests: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests += 1
        await self.app(scope, receive, send)


@dataclass
class Balancer:
    """Hands each new connection to the next of its backends, and knows nothing of HTTP."""

    backends: list[tuple[str, int]] = field(default_factory=list)
    connections: int = 0
    _turn: Iterator[int] = field(default_factory=itertools.count)

    def serve(self, listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was closed
            while True:
                client, _ = listener.accept()
                self.connections += 1
                backend = self.backends[next(self._turn) % len(self.backends)]
                threading.Thread(target=_pipe, args=(client, socket.create_connection(backend)), daemon=True).start()


def _pipe(one: socket.socket, other: socket.socket) -> None:
    """Pass bytes both ways, and the end of each way on, until both have ended."""
    ways = {one: other, other: one}
    with one, other, suppress(ConnectionError):
        while ways:
            for source in select.select(list(ways), [], [])[0]:
                if data := source.recv(65536):
                    ways[source].sendall(data)
                else:
                    ways.pop(source).shutdown(socket.SHUT_WR)


@dataclass
class Deployment:
    """Gateways of one store behind one address."""

    url: str
    balancer: Balancer
    stack: ExitStack
    first: World
    copies: list[Copy] = field(default_factory=list)

    def add(self) -> None:
        """Start another gateway."""
        copy = Copy(create_app(world(store=self.first.store, shards=self.first.shards).state))
        url = self.stack.enter_context(served(copy, Renewal(REQUESTS, chance=lambda: 0.0).protocol()))
        self.copies.append(copy)
        self.balancer.backends.append((str(urlsplit(url).hostname), int(urlsplit(url).port or 0)))

    def counts(self, work: Callable[[], None]) -> list[int]:
        """Return how many requests each gateway answers while `work` runs."""
        before = [copy.requests for copy in self.copies]
        work()
        return [copy.requests - count for copy, count in zip(self.copies, before, strict=True)]


@pytest.fixture
def deployment() -> Iterator[Deployment]:
    with _listening() as listener, ExitStack() as stack:
        balancer = Balancer()
        threading.Thread(target=balancer.serve, args=(listener,), daemon=True).start()
        here = Deployment(f"http://127.0.0.1:{listener.getsockname()[1]}", balancer, stack, world())
        here.add()
        yield here


@contextmanager
def _listening() -> Iterator[socket.socket]:
    listener = socket.create_server(("127.0.0.1", 0))
    try:
        yield listener
    finally:
        listener.shutdown(socket.SHUT_RDWR)  # or `accept` would go on waiting
        listener.close()


def test_load_is_even_once_each_connection_has_carried_its_requests(deployment: Deployment) -> None:
    """Load is even after 10 calls a client. Clients that try nothing again see no error."""
    with ExitStack() as stack:
        clients = [stack.enter_context(FLStore(deployment.url, retries=0)) for _ in range(CLIENTS)]

        def calls(each: int) -> Callable[[], None]:
            def work() -> None:
                for client in each * clients:
                    client.jobs()

            return work

        assert deployment.counts(calls(REQUESTS // 2)) == [CLIENTS * REQUESTS // 2]
        deployment.add()
        deployment.add()
        calls(REQUESTS)()
        assert deployment.counts(calls(REQUESTS)) == [CLIENTS * REQUESTS // 3] * 3
        assert deployment.balancer.connections == 3 * CLIENTS, "a connection carries all the requests that it may"


def test_uploads_and_downloads_go_on_over_the_ends_of_connections(deployment: Deployment) -> None:
    deployment.add()
    arrays = {"weight": np.arange(500_000, dtype=np.float32)}
    with FLStore(deployment.url, retries=0) as client:
        client.create_job("job", like=arrays)
        for number in range(2 * REQUESTS):
            client.put_update("job", 0, f"c{number}", arrays)
        for number in range(REQUESTS):
            assert client.get_update("job", 0, f"c{number}")["weight"][-1] == 499_999
    assert all(copy.requests for copy in deployment.copies)


async def test_asyncio_s_client_follows_too(deployment: Deployment) -> None:
    deployment.add()
    async with AsyncFLStore(deployment.url, retries=0) as client:
        for _ in range(4 * REQUESTS):
            assert await client.jobs() == []
    assert [copy.requests for copy in deployment.copies] == [2 * REQUESTS, 2 * REQUESTS]
