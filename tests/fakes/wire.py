"""The wire of HTTP calls: requests are handed to a function, and no socket is opened."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

import urllib3

from flstore_core.errors import PROBLEM_TYPE, FLStoreError


@dataclass(frozen=True)
class Sent:
    """A request as it would have left."""

    method: str
    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def path(self) -> str:
        return "/" + self.url.split("/", 3)[3]

    @property
    def message(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Reply:
    """What comes back. `body` is a list of chunks where their borders matter."""

    body: bytes | list[bytes] = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, value: Any, status: int = 200) -> "Reply":
        """Return a reply of JSON."""
        return cls(json.dumps(value).encode(), status, {"Content-Type": "application/json"})

    @classmethod
    def problem(cls, error: FLStoreError) -> "Reply":
        """Return an error as a service answers it."""
        head = {"type": PROBLEM_TYPE + error.code, "title": error.title, "status": error.status, "code": error.code}
        body = json.dumps({**error.extensions, **head, "detail": error.detail}).encode()
        return cls(body, error.status, {"Content-Type": "application/problem+json"})


def read_whole(response: urllib3.BaseHTTPResponse) -> bytes:
    """Return a response's body."""
    return response.data


class FakeWire(urllib3.PoolManager):
    """Makes requests by calling `answer`, which returns the reply or raises what a socket would.

    Attributes:
        sent: all requests, in order.
        closed: whether the connections were closed.
    """

    def __init__(self, answer: Callable[[Sent], Reply]) -> None:
        super().__init__()
        self._answer = answer
        self.sent: list[Sent] = []
        self.closed = False

    def request(  # type: ignore[override]  # of what urllib3 takes, what callers send
        self, method: str, url: str, body: Any = None, fields: Any = None, headers: Any = None, **_: Any
    ) -> urllib3.BaseHTTPResponse:
        content = b"".join(bytes(piece) for piece in body) if isinstance(body, list) else body or b""
        sent = Sent(method, url, dict(headers or {}), content, dict(fields or {}))
        self.sent.append(sent)
        reply = self._answer(sent)
        if isinstance(reply.body, list):
            return _Chunks(reply.body, reply.headers, reply.status)
        return urllib3.HTTPResponse(BytesIO(reply.body), reply.headers, reply.status, preload_content=False)

    def clear(self) -> None:
        self.closed = True


class _Chunks(urllib3.HTTPResponse):
    """A response that arrives in chunks of the test's choosing."""

    def __init__(self, chunks: list[bytes], headers: Mapping[str, str], status: int) -> None:
        super().__init__(BytesIO(b"".join(chunks)), headers, status, preload_content=False)
        self._pieces = chunks

    def stream(self, amt: int | None = 2**16, decode_content: bool | None = None) -> Any:
        yield from self._pieces
