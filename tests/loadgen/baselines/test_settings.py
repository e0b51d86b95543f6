"""A baseline's settings, and the commands that start one from them."""

import os
import socket
from collections.abc import Mapping
from contextlib import contextmanager
from typing import Any

import pytest

from flstore_core.cost import cache_hour_bill, objstore_hour_bill
from flstore_core.errors import FLStoreError
from flstore_core.storage.network import LOOPBACK, profile
from loadgen.baselines import cache, objstore, serve
from loadgen.baselines.service import Service
from loadgen.baselines.settings import Settings
from loadgen.baselines.sources import Cached, Direct


def test_an_empty_environment_gives_the_documented_defaults() -> None:
    assert Settings.from_env({}) == Settings()
    assert Settings().cache_link is LOOPBACK


def test_every_setting_has_a_variable() -> None:
    settings = Settings.from_env(
        {
            "FLSTORE_STORE": "s3://b/p",
            "FLSTORE_CACHE_BYTES": "2MiB",
            "FLSTORE_CACHE_NETWORK_PROFILE": "elasticache",
            "FLSTORE_REDIS": "redis:6379",
            "FLSTORE_THREADS": "3",
        }
    )
    assert settings == Settings("s3://b/p", 2 << 20, profile("elasticache"), "redis:6379", 3)


@pytest.mark.parametrize("env", [{"FLSTORE_CACHE_BYTES": "much"}, {"FLSTORE_CACHE_NETWORK_PROFILE": "moon"}])
def test_a_setting_that_is_not_usable_is_named(env: Mapping[str, str]) -> None:
    with pytest.raises(FLStoreError, match=next(iter(env.values()))):
        Settings.from_env(env)


@pytest.fixture
def served(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> list[Service]:
    """Have the commands hand over their service in place of serving it."""
    services: list[Service] = []
    for module in (objstore, cache):
        monkeypatch.setattr(module, "create_app", lambda service, threads: service)
        monkeypatch.setattr(module, "serve", lambda service, env: services.append(service))
    monkeypatch.setitem(os.environ, "FLSTORE_STORE", str(tmp_path_factory.mktemp("store")))
    return services


def test_the_object_store_aggregator_reads_the_store_and_pays_for_one_machine(served: list[Service]) -> None:
    objstore.main()
    [service] = served
    assert isinstance(service._source, Direct)
    assert service._machine_hour == objstore_hour_bill().total


def test_the_cache_aggregator_starts_a_redis_of_its_size_unless_one_is_named(
    served: list[Service], monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []

    @contextmanager
    def redis_server(nbytes: int) -> Any:
        started.append(nbytes)
        yield ("127.0.0.1", 1)

    monkeypatch.setattr(cache, "redis_server", redis_server)
    monkeypatch.setitem(os.environ, "FLSTORE_CACHE_BYTES", "1MiB")
    cache.main()
    monkeypatch.setitem(os.environ, "FLSTORE_REDIS", "redis.example:6380")
    cache.main()
    own, named = served
    assert started == [1 << 20]
    assert isinstance(own._source, Cached)
    assert isinstance(named._source, Cached)
    assert named._source._redis._address == ("redis.example", 6380)
    assert own._machine_hour == cache_hour_bill(1 << 20).total


def test_a_baseline_binds_its_own_address_or_takes_the_one_it_inherits() -> None:
    with serve._socket({"FLSTORE_PORT": "0"}) as bound:
        assert bound.getsockname()[0] == "127.0.0.1"
        fd = os.dup(bound.fileno())
        with serve._socket({"FLSTORE_LISTEN_FD": str(fd)}) as inherited:
            assert inherited.getsockname() == bound.getsockname()


def test_a_lifeline_says_ready_and_its_end_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr(os, "kill", lambda pid, number: killed.append((pid, number)))
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.shutdown(socket.SHUT_RD)
        serve._follow(theirs.fileno())
        assert ours.recv(1) == serve.READY
    assert killed == [(os.getpid(), 15)]
