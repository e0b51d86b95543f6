"""Connections end now and then, and no request is lost by it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from services.common.connections import BoundedProtocol
from services.common.renewal import NEVER, Renewal
from tests.common.wire import FINE, connection

GET = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


def after(requests: int, chance: float = 0.0) -> Renewal:
    return Renewal(requests, chance=lambda: chance)


async def answer(reader: asyncio.StreamReader) -> bool:
    """Read one answer, and return whether it is said to be the last."""
    async with asyncio.timeout(30.0):
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK"), head
        assert await reader.readexactly(4) == b"fine"
    return b"connection: close" in head


async def is_over(reader: asyncio.StreamReader) -> bool:
    """Say whether nothing follows but an orderly end."""
    async with asyncio.timeout(30.0):
        return await reader.read() == b""


@pytest.mark.parametrize(("requests", "chance", "last"), [(1, 0.0, 1), (4, 0.0, 4), (4, 1.0, 2), (5, 0.5, 3)])
async def test_a_connection_ends_after_so_many_requests_less_what_chance_takes(
    requests: int, chance: float, last: int
) -> None:
    async with connection(after(requests, chance).protocol()) as (reader, writer):
        for number in range(1, last + 1):
            writer.write(GET)
            assert await answer(reader) == (number == last)
        assert await is_over(reader)


async def test_a_connection_ends_with_the_first_answer_after_its_time() -> None:
    async with connection(Renewal(seconds=1e-9).protocol()) as (reader, writer):
        writer.write(GET)
        assert await answer(reader)
        assert await is_over(reader)


@pytest.mark.parametrize("renewal", [NEVER, Renewal(seconds=1e9), Renewal(requests=100)])
async def test_a_connection_stays_until_then(renewal: Renewal) -> None:
    async with connection(renewal.protocol()) as (reader, writer):
        for _ in range(20):
            writer.write(GET)
            assert not await answer(reader)


def test_where_no_connection_ends_the_protocol_is_the_plain_one() -> None:
    assert NEVER.protocol() is BoundedProtocol


async def test_requests_that_were_sent_ahead_are_all_answered() -> None:
    async with connection(after(1).protocol()) as (reader, writer):
        writer.write(3 * GET)
        assert [await answer(reader) for _ in range(3)] == [False, False, True]
        assert await is_over(reader)


def slow(begun: asyncio.Event, go_on: asyncio.Event, seen: list[str]) -> ASGIApp:
    """Return an app whose answers end when they are told to."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        async def body() -> AsyncIterator[bytes]:
            begun.set()
            await go_on.wait()
            yield b"fine"

        seen.append(scope["path"])
        await StreamingResponse(body(), headers={"content-length": "4"})(scope, receive, send)

    return app


async def test_a_request_that_comes_after_the_last_answer_began_is_not_made_and_spoils_nothing() -> None:
    begun, go_on, seen = asyncio.Event(), asyncio.Event(), list[str]()
    async with connection(after(1).protocol(), slow(begun, go_on, seen)) as (reader, writer):
        writer.write(GET)
        await begun.wait()
        writer.write(GET.replace(b"GET / ", b"GET /next ") * 1000)
        await writer.drain()
        go_on.set()
        assert await answer(reader)
        writer.write(GET)
        assert await is_over(reader)
        assert seen == ["/"]


async def test_an_upload_that_is_answered_early_goes_on() -> None:
    """Its answer is not the last, or the rest of its body would meet a closed connection."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        if request.method == "GET":
            await request.body()
        await FINE(scope, receive, send)

    async with connection(after(1).protocol(), app) as (reader, writer):
        writer.write(b"PUT / HTTP/1.1\r\nhost: here\r\ncontent-length: 1000000\r\n\r\n")
        assert not await answer(reader)
        writer.write(bytes(1000000) + GET)
        assert await answer(reader)
        assert await is_over(reader)


async def test_a_whole_upload_is_taken_before_its_connection_ends() -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        length = len(await Request(scope, receive).body())
        await Response("fine", headers={"x-length": str(length)})(scope, receive, send)

    async with connection(after(1).protocol(), app) as (reader, writer):
        writer.write(b"PUT / HTTP/1.1\r\nhost: here\r\ncontent-length: 5000000\r\n\r\n")
        for _ in range(50):
            writer.write(bytes(100_000))
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"x-length: 5000000" in head
        assert b"connection: close" in head
        assert await reader.read() == b"fine"


async def test_a_client_that_wants_the_end_itself_gets_it() -> None:
    async with connection(after(1).protocol()) as (reader, writer):
        writer.write(GET.replace(b"host: here", b"host: here\r\nconnection: close"))
        assert await answer(reader)
        assert await is_over(reader)
