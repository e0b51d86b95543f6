"""The Redis client over the real protocol, and the sources of models that stand on it."""

import logging
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flstore_core.errors import NotFound, Unavailable
from flstore_core.storage.network import LOOPBACK
from loadgen.baselines import redis as module
from loadgen.baselines.redis import RedisClient, redis_server
from loadgen.baselines.sources import Cached, Direct
from tests.fakes.redis import FakeRedis, fake_redis
from tests.fakes.store import MemoryStore
from tests.servers import free_ports


@pytest.fixture
def server() -> Iterator[FakeRedis]:
    with fake_redis() as state:
        yield state


@pytest.fixture
def client(server: FakeRedis) -> Iterator[RedisClient]:
    redis = RedisClient(server.address, LOOPBACK)
    yield redis
    redis.close()


def get(client: RedisClient, key: str) -> bytes | None:
    value = client.get(key)
    return None if value is None else bytes(value)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)
@given(st.binary(max_size=2000), st.sampled_from([1, 3, 7, 512, 1 << 16]))
def test_a_value_comes_back_however_its_answer_is_cut(
    client: RedisClient, server: FakeRedis, value: bytes, piece: int
) -> None:
    server.piece = piece
    assert client.set("jobs/j/model", value)
    assert get(client, "jobs/j/model") == value
    assert server.values["jobs/j/model"] == value


def test_an_absent_key_is_none_and_an_empty_value_is_not(client: RedisClient) -> None:
    assert client.get("absent") is None
    client.set("empty", b"")
    assert get(client, "empty") == b""


def test_a_value_that_redis_refuses_is_told(client: RedisClient, server: FakeRedis) -> None:
    server.limit = 10
    assert not client.set("k", b"x" * 11)
    assert client.get("k") is None


def test_connections_are_used_again(client: RedisClient, server: FakeRedis) -> None:
    for index in range(20):
        client.set(f"k{index}", b"x")
    assert server.connections == 1


def test_threads_do_not_mix_their_answers_up(client: RedisClient) -> None:
    def round_trip(index: int) -> bool:
        value = b"%d" % index * 5000
        return client.set(f"k{index}", value) and get(client, f"k{index}") == value

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(64)))


def test_a_connection_that_broke_is_not_used_again(client: RedisClient, server: FakeRedis) -> None:
    client.set("k", b"x" * 100)
    server.broken = True
    with pytest.raises(ConnectionResetError, match="Redis closed the connection"):
        client.get("k")
    server.broken = False
    assert get(client, "k") == b"x" * 100
    assert server.connections == 2


def test_the_cache_is_filled_by_what_is_stored_and_by_what_is_read(client: RedisClient, server: FakeRedis) -> None:
    store = MemoryStore()
    store.put("old", b"read")
    cached = Cached(store, client)
    cached.offer("new", memoryview(b"stored"))
    assert [(bytes(body), hit) for body, hit in (cached.fetch("new"), cached.fetch("old"), cached.fetch("old"))] == [
        (b"stored", True),
        (b"read", False),
        (b"read", True),
    ]
    with pytest.raises(NotFound):
        cached.fetch("absent")


def test_without_redis_the_store_answers(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    store.put("k", b"model")
    (port,) = free_ports(1)
    cached = Cached(store, RedisClient(("127.0.0.1", port), LOOPBACK))
    with caplog.at_level(logging.WARNING):
        cached.offer("k", memoryview(b"model"))
        body, hit = cached.fetch("k")
    assert (bytes(body), hit) == (b"model", False)
    assert all(message.startswith("Redis does not answer: ") for message in caplog.messages)
    assert len(caplog.messages) == 2


def test_the_store_alone_keeps_nothing() -> None:
    store = MemoryStore()
    direct = Direct(store)
    direct.offer("k", memoryview(b"model"))
    with pytest.raises(NotFound):
        direct.fetch("k")
    store.put("k", b"model")
    assert direct.fetch("k") == (b"model", False)


class Program:
    """A redis-server that a test has start, or fail to."""

    def __init__(self, code: int | None) -> None:
        self.code = code
        self.ended: list[str] = []

    def poll(self) -> int | None:
        return self.code

    def terminate(self) -> None:
        self.ended.append("terminate")

    def wait(self) -> None:
        self.ended.append("wait")


def test_a_redis_of_its_own_forgets_the_least_recent_beyond_its_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    program = Program(None)

    def start(command: list[str], **_: Any) -> Program:
        commands.append(command)
        port = int(command[command.index("--port") + 1])
        listening.append(socket.create_server(("127.0.0.1", port)))
        return program

    listening: list[socket.socket] = []
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}")
    monkeypatch.setattr(subprocess, "Popen", start)
    with redis_server(123_456) as (host, port):
        words = " ".join(commands[0])
        assert host == "127.0.0.1"
        assert f"--bind 127.0.0.1 --port {port}" in words
        assert "--maxmemory 123456 --maxmemory-policy allkeys-lru" in words
        assert program.ended == []
    assert program.ended == ["terminate", "wait"]
    listening[0].close()


def test_without_the_program_the_message_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(Unavailable, match="redis-server is missing; install the Debian package redis-server"):
        redis_server(1).__enter__()


def test_a_redis_that_ends_at_once_is_told_and_cleared_away(monkeypatch: pytest.MonkeyPatch) -> None:
    program = Program(1)
    monkeypatch.setattr(module, "_start", lambda *_: program)
    with pytest.raises(Unavailable, match="redis-server does not answer on port"):
        redis_server(1).__enter__()
    assert program.ended == ["terminate", "wait"]
