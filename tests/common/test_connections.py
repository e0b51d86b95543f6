"""Connections: what a caller may send before it has said who it is."""

import asyncio
import socket

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from uvicorn.server import ServerState

from services.common import connections
from services.common.connections import MAX_HEAD_BYTES, BoundedProtocol
from tests.common.wire import connection


async def answer(reader: asyncio.StreamReader) -> bytes:
    """Return all that comes until the server closes."""
    async with asyncio.timeout(30.0):
        return await reader.read()


REQUEST = b"GET / HTTP/1.1\r\nhost: here\r\n\r\n"


async def test_requests_are_answered_one_after_the_other() -> None:
    async with connection() as (reader, writer):
        for _ in range(3):
            for piece in (REQUEST[:20], REQUEST[20:]):
                writer.write(piece)
                await writer.drain()
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 200 OK")
            assert await reader.readexactly(4) == b"fine"
        writer.write(REQUEST.replace(b"host: here", b"host: here\r\nconnection: close"))
        assert (await answer(reader)).endswith(b"fine")


async def test_a_long_header_that_the_protocol_needs_is_taken() -> None:
    async with connection() as (reader, writer):
        writer.write(
            b"GET / HTTP/1.1\r\nconnection: close\r\nx-flstore-metrics: " + bytes(64 << 10).replace(b"\0", b"1")
        )
        writer.write(b"\r\n\r\n")
        assert (await answer(reader)).startswith(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("start", [b"GET /", b"GET / HTTP/1.1\r\nx: "])
async def test_an_endless_head_is_refused(start: bytes) -> None:
    async with connection() as (reader, writer):
        writer.write(start)
        sent = 0
        while sent <= MAX_HEAD_BYTES:
            writer.write(b"a" * 32_768)
            sent += 32_768
            await writer.drain()
        assert (await answer(reader)).startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("part", [b"G", b"GET / HT", b"GET / HTTP/1.1\r\nhost: h"])
async def test_half_a_head_is_not_waited_for_long(part: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", 0.0)
    async with connection() as (reader, writer):
        writer.write(part)
        assert (await answer(reader)).startswith(b"HTTP/1.1 408 ")


async def test_half_a_head_after_an_answer_is_not_waited_for_either(monkeypatch: pytest.MonkeyPatch) -> None:
    async with connection() as (reader, writer):
        writer.write(REQUEST)
        await reader.readuntil(b"fine")
        monkeypatch.setattr(connections, "HEAD_S", 0.0)
        writer.write(b"GET /")
        assert (await answer(reader)).startswith(b"HTTP/1.1 408 ")


async def test_a_connection_without_a_byte_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "FIRST_BYTE_S", 0.0)
    async with connection() as (reader, _):
        assert await answer(reader) == b""


@pytest.mark.parametrize("seconds", [0.0, 15.0])
async def test_what_is_no_http_is_refused_once(seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connections, "HEAD_S", seconds)
    async with connection() as (reader, writer):
        writer.write(b"\0\0\0\0")
        text = await answer(reader)
    assert (text.startswith(b"HTTP/1.1 400 "), text.count(b"HTTP/1.1")) == (True, 1)


async def test_heads_and_bodies_may_come_in_any_pieces() -> None:
    config = uvicorn.Config(PlainTextResponse("fine"), http=BoundedProtocol, log_config=None, lifespan="off")
    state = ServerState()
    server, client = socket.socketpair()
    with client:
        _, protocol = await asyncio.get_running_loop().connect_accepted_socket(
            lambda: BoundedProtocol(config, state, {}), server
        )
        for byte in b"POST / HTTP/1.1\r\nhost: here\r\ncontent-length: 4\r\n\r\nbody":
            protocol.data_received(bytes([byte]))
        await asyncio.gather(*state.tasks)
        assert client.recv(4096).startswith(b"HTTP/1.1 200 OK")
        protocol.transport.close()
