"""What reaches a controller that stands by is answered by the one that leads."""

from typing import Protocol

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flstore_core.errors import FLStoreError, Unavailable
from services.common.problems import from_error

FORWARDED = "/v1/"
"""What lies below concerns the placement, and only the leader knows it; health and metrics are each one's own."""
HOPS = "x-flstore-forwarded"
"""Header of a forwarded request: it is not forwarded again, lest two that each think the other leads play ball."""
TIMEOUT_S = 75.0
"""Longer than the longest long poll."""


class Leadership(Protocol):
    """How several controllers agree which of them acts."""

    @property
    def leading(self) -> bool:
        """Whether this one does."""
        ...

    @property
    def leader_address(self) -> str:
        """URL of the one that does; "" while there is none."""
        ...

    async def run(self) -> None:
        """Take part, and act while leading, until cancelled."""
        ...

    async def close(self) -> None: ...


class Forward:
    """ASGI middleware. `app.state.placement.leadership` is None where there is one controller only."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(FORWARDED):
            state = scope["app"].state.placement
            if state.leadership is not None and not state.leadership.leading:
                request = Request(scope, receive)
                answer = await self._answer(request, state.client, state.leadership.leader_address)
                await answer(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _answer(self, request: Request, client: httpx.AsyncClient, address: str) -> Response:
        try:
            return await _ask(request, client, address)
        except FLStoreError as error:
            return from_error(request, error)


async def _ask(request: Request, client: httpx.AsyncClient, address: str) -> Response:
    if not address or HOPS in request.headers:
        raise Unavailable("no placement controller leads at this moment; try again shortly")
    url = address + request.url.path + (f"?{request.url.query}" if request.url.query else "")
    try:
        answer = await client.request(
            request.method, url, content=await request.body(), headers={HOPS: "1"}, timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        raise Unavailable(
            f"the leading placement controller at {address} does not answer; try again shortly"
        ) from error
    kept = {name: answer.headers[name] for name in ("content-type", "retry-after") if name in answer.headers}
    return Response(answer.content, answer.status_code, kept)
