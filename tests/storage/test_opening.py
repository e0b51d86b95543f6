"""Opening a store by URL, now or when it is first used."""

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.storage import DirectoryStore, ObjectStore, url
from flstore_core.storage.url import open_later, open_store
from tests.fakes.store import MemoryStore


class Opener:
    """Stands in for `open_store`: counts, and may hold everybody up."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.store = MemoryStore()
        self.opened: list[str] = []
        self.go = threading.Event()
        self.go.set()
        monkeypatch.setattr(url, "open_store", self.open)

    def open(self, where: str, env: dict[str, str]) -> ObjectStore:
        assert self.go.wait(20.0)
        self.opened.append(where)
        return self.store


def test_a_store_opened_later_is_opened_by_its_first_use_and_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Opener(monkeypatch)
    store = open_later("some://where", {})
    assert opener.opened == []
    store.put("k", b"v")
    assert store.get("k") == b"v"
    assert opener.opened == ["some://where"]


def test_many_threads_open_it_once(monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Opener(monkeypatch)
    opener.go.clear()
    store = open_later("x", {})
    with ThreadPoolExecutor(8) as pool:
        probes = [pool.submit(lambda: store.probe()) for _ in range(8)]
        opener.go.set()
        for probe in probes:
            probe.result(20.0)
    assert opener.opened == ["x"]


def test_closing_what_was_never_used_opens_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    opener = Opener(monkeypatch)
    open_later("x", {}).close()
    assert opener.opened == []
    used = open_later("y", {})
    used.probe()
    used.close()
    assert opener.opened == ["y"]


def test_what_is_wrong_with_a_url_shows_at_the_first_use() -> None:
    store = open_later("ftp://host", {})
    with pytest.raises(InvalidParameters, match="unknown scheme 'ftp'"):
        store.probe()


def test_both_ways_open_the_same_store(tmp_path: Path) -> None:
    now, later = open_store(str(tmp_path), {}), open_later(str(tmp_path), {})
    now.put("k", b"v")
    assert isinstance(now, DirectoryStore)
    assert later.get("k") == b"v"


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e3", "1.", "٣", " 1"])
def test_a_deadline_that_is_no_number_of_seconds_is_refused_but_empty_means_the_default(text: str) -> None:
    env = {"FLSTORE_S3_ACCESS_KEY": "a", "FLSTORE_S3_SECRET_KEY": "b", "FLSTORE_S3_GIVE_UP_S": text}
    where = "s3://bucket?endpoint=http://127.0.0.1:9"
    if not text:
        open_store(where, env).close()
        return
    with pytest.raises(InvalidParameters, match=r"FLSTORE_S3_GIVE_UP_S is .*; use a number of seconds such as 10"):
        open_store(where, env)
