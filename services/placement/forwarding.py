"""Forwards requests to the controller that leads, when they reach one that stands by."""

from typing import Protocol

import httpx
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from flstore_core.errors import FLStoreError, Unavailable
from services.common.problems import from_error

FORWARDED = "/v1/"
"""Requests below this path concern the placement, which only the leader knows. Each controller has its own health and
metrics, so requests for these are not forwarded."""
FORWARDED_HEADER = "x-flstore-forwarded"
"""Marks a forwarded request. It is not forwarded again: two controllers may each think that the other one leads."""
TIMEOUT_S = 75.0
"""Longest wait for the leader's answer, in seconds: longer than the longest long poll."""


class Leadership(Protocol):
    """By which several controllers agree on the one that leads."""

    @property
    def leading(self) -> bool:
        """Whether this controller leads."""
        ...

    @property
    def leader_address(self) -> str:
        """URL of the controller that leads; "" if none is known."""
        ...

    async def run(self) -> None:
        """Campaign, and act while leading, until cancelled."""
        ...

    async def close(self) -> None: ...


class Forward:
    """ASGI middleware. `app.state.placement.leadership` is None if there is only one controller."""

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
            return await _forward(request, client, address)
        except FLStoreError as error:
            return from_error(request, error)


async def _forward(request: Request, client: httpx.AsyncClient, address: str) -> Response:
    if not address or FORWARDED_HEADER in request.headers:
        raise Unavailable("no placement controller leads at this moment; try again shortly")
    url = address + request.url.path + (f"?{request.url.query}" if request.url.query else "")
    try:
        answer = await client.request(
            request.method, url, content=await request.body(), headers={FORWARDED_HEADER: "1"}, timeout=TIMEOUT_S
        )
    except httpx.HTTPError as error:
        raise Unavailable(
            f"the leading placement controller at {address} does not answer; try again shortly"
        ) from error
    headers = {name: answer.headers[name] for name in ("content-type", "retry-after") if name in answer.headers}
    return Response(answer.content, answer.status_code, headers)
