"""A store behind a link: every operation does what the store does, and lasts as long as the link takes."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import NotFound
from flstore_core.storage.network import PROFILES, Profile, behind, crossing, profile
from tests.fakes.clock import Clock
from tests.fakes.store import MemoryStore

LINK = Profile("test", first_byte_s=2.0, stream_bytes_per_s=10.0)
"""Two seconds, and ten bytes a second."""


def filled() -> MemoryStore:
    store = MemoryStore()
    store.put("a/b", b"0123456789")
    store.put("a/c/d", b"xyz")
    return store


READS: dict[str, tuple[Callable[[Any], Any], int]] = {
    "get": (lambda store: store.get("a/b", offset=2, length=3), 3),
    "get with info": (lambda store: store.get_with_info("a/b"), 10),
    "stream": (lambda store: list(store.stream("a/b", chunk=4)), 10),
    "stat": (lambda store: store.stat("a/b"), 0),
    "list": (lambda store: list(store.list("a")), 0),
    "folders": (lambda store: list(store.folders("a")), 0),
    "probe": (lambda store: store.probe(), 0),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_gives_what_the_store_gives(name: str) -> None:
    read, _ = READS[name]
    store = filled()
    assert read(behind(Profile("fast", 0.0, 1e12), store)) == read(store)


def test_reading_into_memory_fills_it() -> None:
    buffer = bytearray(4)
    behind(Profile("fast", 0.0, 1e12), filled()).read_into("a/b", memoryview(buffer), offset=3)
    assert buffer == b"3456"


def test_writes_and_deletions_reach_the_store() -> None:
    store = filled()
    linked = behind(Profile("fast", 0.0, 1e12), store)
    info = linked.put("new", b"12", if_none_match=True)
    assert store.stat("new") == info
    linked.delete("new")
    linked.delete_prefix("a")
    assert store.contents == {}
    linked.close()


def test_the_stores_errors_come_through() -> None:
    with pytest.raises(NotFound):
        behind(Profile("fast", 0.0, 1e12), filled()).get("missing")


@given(st.integers(0, 10**12), st.sampled_from(sorted(PROFILES)))
def test_a_link_takes_its_first_byte_and_its_stream(nbytes: int, name: str) -> None:
    link = profile(name)
    assert link.seconds(nbytes) == link.first_byte_s + nbytes / link.stream_bytes_per_s
    assert link.seconds(nbytes + 1) >= link.seconds(nbytes)


def test_the_example_of_the_module_holds() -> None:
    assert profile("cloud-s3").seconds(45_000_000) == pytest.approx(0.52)


@pytest.mark.parametrize(("took", "waited"), [(0.0, 3.0), (1.0, 2.0), (3.0, 0.0), (9.0, 0.0)])
def test_only_what_is_missing_to_the_links_time_is_waited_for(
    monkeypatch: pytest.MonkeyPatch, took: float, waited: float
) -> None:
    clock = Clock()
    monkeypatch.setattr("flstore_core.storage.network.time", SimpleNamespace(perf_counter=clock))
    with crossing(LINK, clock.sleep) as moved:
        moved.append(10)
        clock.now += took
    assert clock.pauses == [pytest.approx(waited)]


def test_an_operation_that_fails_crosses_the_link_too(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr("flstore_core.storage.network.time", SimpleNamespace(perf_counter=clock))
    with pytest.raises(ZeroDivisionError), crossing(LINK, clock.sleep):
        raise ZeroDivisionError
    assert clock.pauses == [2.0]
