"""A real HTTP server on a real socket that answers as a test has written down, and keeps what it was sent."""

import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from flstore_core.errors import PROBLEM_TYPE
from tests.serving import served

RECEIPT = {"job": "j", "round": 3, "client": "c1", "nbytes": 10, "parameters": 6, "created": True}
"""A receipt but for its hash."""

Receipt = Callable[[str], Response]
"""Makes a reply from the SHA-256 of the request's body."""


@dataclass(frozen=True)
class Seen:
    """A request as it arrived."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes
    port: int
    """The caller's: tells connections apart."""
    query: str = ""

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Script:
    """Replies in the order given; the last one for ever after."""

    url: str = ""
    replies: list[Response | Receipt] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    keep_bodies: bool = True

    def clear(self) -> None:
        """Forget everything of the test before."""
        self.replies, self.seen, self.keep_bodies = [], [], True

    def reply(self, data: Any = None, status: int = 200, **headers: str) -> None:
        """Add a JSON reply."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.replies.append(Response(json.dumps(data), status, named, "application/json"))

    def receipt(self, **fields: Any) -> None:
        """Add the receipt of whatever body comes."""
        self.replies.append(lambda sha256: Response(json.dumps(RECEIPT | {"sha256": sha256} | fields)))

    def reply_bytes(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.replies.append(Response(body, status, headers, "application/octet-stream"))

    def problem(self, status: int, code: str, detail: str, /, **fields: Any) -> None:
        data = {"type": PROBLEM_TYPE + code, "title": code, "status": status, "detail": detail, "code": code, **fields}
        self.replies.append(Response(json.dumps(data), status, media_type="application/problem+json"))

    async def answer(self, request: Request) -> Response:
        body, digest = bytearray(), hashlib.sha256()
        async for chunk in request.stream():
            digest.update(chunk)
            if self.keep_bodies:
                body += chunk
        port = request.client.port if request.client else 0
        self.seen.append(
            Seen(request.method, request.url.path, dict(request.headers), bytes(body), port, request.url.query)
        )
        reply = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        return reply if isinstance(reply, Response) else reply(digest.hexdigest())


@contextmanager
def scripted() -> Iterator[Script]:
    """Serve a `Script` on a free loopback port."""
    script = Script()
    methods = ["GET", "PUT", "POST", "DELETE"]
    with served(Starlette(routes=[Route("/{path:path}", script.answer, methods=methods)])) as script.url:
        yield script
