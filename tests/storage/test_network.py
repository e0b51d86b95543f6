"""Links: what crosses them takes as long as it should, and nothing else changes."""

import time
from pathlib import Path

import pytest

from flstore_core.errors import NotFound
from flstore_core.storage import DirectoryStore, open_store
from flstore_core.storage.network import LOOPBACK, Profile, behind, crossing, profile


def test_a_megabyte_from_the_cloud_takes_its_first_byte_and_its_stream() -> None:
    assert profile("cloud-s3").seconds(90_000_000) == pytest.approx(1.02)
    assert profile("elasticache").seconds(1_200_000_000) == pytest.approx(1.0005)


def test_loopback_is_the_store_itself(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    assert behind(LOOPBACK, store) is store


def test_reading_over_a_link_gives_the_bytes_and_takes_at_least_the_links_time(tmp_path: Path) -> None:
    store = behind(Profile("slow", 0.01, 1e6), DirectoryStore(tmp_path))
    store.put("a", b"x" * 20_000)
    started = time.perf_counter()
    assert store.get("a") == b"x" * 20_000
    assert time.perf_counter() - started >= 0.03
    started = time.perf_counter()
    assert b"".join(store.stream("a")) == b"x" * 20_000
    assert time.perf_counter() - started >= 0.03


def test_only_what_is_missing_to_the_links_time_is_waited_for() -> None:
    slept: list[float] = []
    with crossing(Profile("slow", 0.0, 1e3), slept.append) as moved:
        moved.append(500)
    with crossing(Profile("fast"), slept.append) as moved:
        moved.append(500)
    assert 0.4 < slept[0] <= 0.5
    assert slept[1] == 0.0


def test_the_environment_puts_a_store_behind_a_link(tmp_path: Path) -> None:
    store = open_store(str(tmp_path), {"FLSTORE_NETWORK_PROFILE": "cloud-s3"})
    started = time.perf_counter()
    with pytest.raises(NotFound):
        store.get("nothing")
    assert time.perf_counter() - started >= 0.020


def test_an_unknown_link_is_refused_with_the_nearest(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="cloud-s3"):
        open_store(str(tmp_path), {"FLSTORE_NETWORK_PROFILE": "cloud-s4"})
