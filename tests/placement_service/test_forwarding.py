"""A controller that stands by passes requests on to the leader, once."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from types import SimpleNamespace

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from services.placement.forwarding import FORWARDED_HEADER, Forward

Answer = Callable[[httpx.Request], httpx.Response]


@dataclass
class Standing:
    """Where a controller stands in the election."""

    leading: bool
    leader_address: str = "http://leader"


def unexpected(_: httpx.Request) -> httpx.Response:
    raise AssertionError("nothing is passed on")


async def own(request: Request) -> Response:
    return PlainTextResponse(f"own {request.url.path}")


@asynccontextmanager
async def controller(standing: Standing | None, leader: Answer = unexpected) -> AsyncIterator[httpx.AsyncClient]:
    """Yield a client of a controller in front of a leader."""
    app = Starlette(routes=[Route("/{path:path}", own)], middleware=[Middleware(Forward)])
    async with httpx.AsyncClient(transport=httpx.MockTransport(leader)) as onward:
        app.state.placement = SimpleNamespace(leadership=standing, client=onward)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://me") as client:
            yield client


@pytest.mark.parametrize("standing", [None, Standing(leading=True)])
async def test_the_only_controller_and_the_leader_answer_themselves(standing: Standing | None) -> None:
    async with controller(standing) as client:
        assert (await client.get("/v1/placement")).text == "own /v1/placement"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_health_and_metrics_are_each_controller_s_own(path: str) -> None:
    async with controller(Standing(leading=False)) as client:
        assert (await client.get(path)).text == f"own {path}"


async def test_a_request_reaches_the_leader_whole_and_its_answer_comes_back() -> None:
    seen: list[httpx.Request] = []

    def leader(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        headers = {"content-type": "application/problem+json", "retry-after": "7", "x-other": "stays"}
        return httpx.Response(503, headers=headers, content=b'{"code": "unavailable"}')

    async with controller(Standing(leading=False), leader) as client:
        answer = await client.post("/v1/placement/jobs/a?after=3&wait=2", content=b"body")
    (request,) = seen
    assert (request.method, str(request.url)) == ("POST", "http://leader/v1/placement/jobs/a?after=3&wait=2")
    assert (request.content, request.headers[FORWARDED_HEADER]) == (b"body", "1")
    assert (answer.status_code, answer.content) == (503, b'{"code": "unavailable"}')
    assert (answer.headers["content-type"], answer.headers["retry-after"]) == ("application/problem+json", "7")
    assert "x-other" not in answer.headers


async def test_a_request_that_was_passed_on_is_not_passed_on_again() -> None:
    async with controller(Standing(leading=False)) as client:
        refused = await client.get("/v1/shards", headers={FORWARDED_HEADER: "1"})
    assert refused.status_code == 503
    assert "no placement controller leads at this moment" in refused.json()["detail"]
    assert refused.headers["retry-after"] == "1"


async def test_without_a_known_leader_a_caller_is_asked_to_come_back() -> None:
    async with controller(Standing(leading=False, leader_address="")) as client:
        refused = await client.get("/v1/shards")
    assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")


async def test_a_leader_that_does_not_answer_is_named() -> None:
    def leader(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("refused", request=request)

    async with controller(Standing(leading=False), leader) as client:
        refused = await client.get("/v1/shards")
    assert "controller at http://leader does not answer; try again shortly" in refused.json()["detail"]
