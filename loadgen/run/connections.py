"""HTTP/1.1 over pooled connections. A client library would take more CPU than the system under load."""

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import httptools

from flstore_core.errors import InvalidParameters, Unavailable

CHUNK = 1 << 20
"""Bytes given to a connection at a time."""
CONNECTIONS = 512
"""Most open connections; further requests wait, and the wait counts towards their latency."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A response, whole."""

    status: int
    body: bytes

    def json(self) -> Any:
        """Return the body as JSON; raise `Unavailable` if it is none."""
        try:
            return json.loads(self.body)
        except ValueError as error:
            raise Unavailable(f"HTTP {self.status} came without JSON; is this the URL of an FLStore?") from error


class Pool:
    """Connections to one server.

    Args:
        url: of the server, http:// only.
        timeout: seconds that a request may take.
        headers: sent with every request.
    """

    def __init__(self, url: str, timeout: float, headers: Mapping[str, str] | None = None) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname:
            raise InvalidParameters(f"{url!r} is not a URL to put load on; write one such as http://127.0.0.1:8080")
        self.url = url.rstrip("/")
        self._host, self._port = parts.hostname, parts.port or 80
        self._timeout = timeout
        lines = {"Host": parts.netloc, **(headers or {})}
        self._fixed = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._idle: deque[_Connection] = deque()
        self._room = asyncio.Semaphore(CONNECTIONS)

    async def request(
        self, method: str, path: str, body: Sequence[bytes | memoryview] = (), headers: str = ""
    ) -> Reply:
        """Send a request and return its whole answer.

        Args:
            headers: header lines, each ending in CRLF.

        Raises:
            Unavailable: if the server cannot be reached, goes away, or takes too long.
        """
        length = sum(map(len, body))
        head = f"{method} {path} HTTP/1.1\r\n{self._fixed}{headers}Content-Length: {length}\r\n\r\n".encode()
        async with self._room:
            try:
                return await self._exchange([head, *body])
            except TimeoutError:
                raise Unavailable(f"{method} {path} took longer than {self._timeout:g} s") from None
            except OSError as error:
                raise Unavailable(f"{self.url} does not answer: {error}") from error

    def close(self) -> None:
        while self._idle:
            self._idle.pop().close()

    async def _exchange(self, parts: Sequence[bytes | memoryview]) -> Reply:
        connection = await self._connection()
        try:
            reply = await connection.exchange(parts, self._timeout)
        except BaseException:
            connection.close()
            raise
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return reply

    async def _connection(self) -> "_Connection":
        while self._idle:
            connection = self._idle.pop()
            if connection.reusable:
                return connection
        async with asyncio.timeout(self._timeout):
            loop = asyncio.get_running_loop()
            _, made = await loop.create_connection(_Connection, self._host, self._port)
            return made


class _Connection(asyncio.Protocol):
    """One connection with at most one request under way."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[Reply] | None = None
        self._writable = asyncio.Event()
        self._writable.set()
        self._alive = True
        self._parser = httptools.HttpResponseParser(self)
        self._received: list[bytes] = []

    @property
    def reusable(self) -> bool:
        return self._alive

    async def exchange(self, parts: Sequence[bytes | memoryview], timeout: float) -> Reply:
        """Send a request and wait for its answer; raise `TimeoutError` if that takes longer than `timeout` seconds."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Reply] = loop.create_future()
        self._answer = answer
        deadline = loop.call_later(timeout, self._fail, TimeoutError())
        try:
            await self._send(parts, answer)
            return await answer
        finally:
            deadline.cancel()

    async def _send(self, parts: Sequence[bytes | memoryview], answer: asyncio.Future[Reply]) -> None:
        assert self._transport is not None
        for piece in _pieces(parts):
            await self._writable.wait()
            if answer.done():  # answered before it was sent whole: the rest would be read as another request
                self._alive = False
                return
            self._transport.write(piece)

    def close(self) -> None:
        """Abort the connection; its request, if any, is abandoned."""
        self._alive = False
        self._answer = None
        if self._transport:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's has only the methods

    def connection_lost(self, exc: Exception | None) -> None:
        self._alive = False
        self._fail(exc or ConnectionResetError("the server closed the connection"))

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ConnectionError(f"the answer is no HTTP: {error}"))

    def on_body(self, body: bytes) -> None:
        self._received.append(body)

    def on_message_complete(self) -> None:
        reply = Reply(self._parser.get_status_code(), b"".join(self._received))
        self._received.clear()
        if not self._parser.should_keep_alive():
            self._alive = False
        if self._answer and not self._answer.done():
            self._answer.set_result(reply)

    def _fail(self, error: Exception) -> None:
        self._writable.set()  # a sender that waits for room goes on, and sees that the request is over
        if self._answer and not self._answer.done():
            self._answer.set_exception(error)


def _pieces(parts: Sequence[bytes | memoryview]) -> Iterator[bytes | memoryview]:
    for part in parts:
        if len(part) <= CHUNK:
            yield part
        else:
            yield from (part[start : start + CHUNK] for start in range(0, len(part), CHUNK))
