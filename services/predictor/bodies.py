"""Bodies of requests: how long they may be, and what they say."""

import json
from typing import Any

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flstore_core.errors import InvalidParameters, TooLarge
from flstore_core.units import parse_natural
from services.common.problems import from_error


def parse_json(text: bytes) -> Any:
    """Return a body's JSON; raise `InvalidParameters` if it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameters("the message is not JSON") from error


class Bounded:
    """ASGI middleware: refuses bodies of over `most_bytes`, by what the request says or else once they have come."""

    def __init__(self, app: ASGIApp, most_bytes: int) -> None:
        self._app = app
        self._most = most_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if (parse_natural(Headers(scope=scope).get("content-length", ""), 2**63) or 0) > self._most:
            await from_error(Request(scope), self._too_large())(scope, receive, send)
            return
        come = 0

        async def counted() -> Message:
            nonlocal come
            message = await receive()
            come += len(message.get("body", b""))
            if come > self._most:
                raise self._too_large()
            return message

        await self._app(scope, counted, send)

    def _too_large(self) -> TooLarge:
        return TooLarge(f"the body has over {self._most} bytes; at most as many are accepted here")
