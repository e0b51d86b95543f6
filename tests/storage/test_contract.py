"""What every object store promises, asked of each of them."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from functools import partial
from pathlib import Path
from uuid import uuid4

import pytest

from flstore_core.errors import (
    FLStoreError,
    InvalidId,
    InvalidParameters,
    NotFound,
    PreconditionFailed,
    ShortObject,
)
from flstore_core.storage import Body, ObjectInfo, ObjectStore, open_store, read_many
from tests.fakes.store import MemoryStore
from tests.servers import S3Server

SIZES = [0, 1, 255, 1 << 20, (1 << 20) + 1, 9_000_001]
HOSTILE = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../x",
    "a/../b",
    "a//b",
    "a/",
    "./a",
    "a/.hidden",
    ".flstore/lock",
    "a\0b",
    "a\nb",
    "a\x7fb",
    "a\\b",
    "\ud800",
    "x" * 256,
    "/".join(["x" * 200] * 6),
]


Ask = Callable[[str], object]


@pytest.fixture(params=["directory", "s3", "memory"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[ObjectStore]:
    opened: ObjectStore
    if request.param == "directory":
        opened = open_store(str(tmp_path / "store"), {})
    elif request.param == "memory":
        opened = MemoryStore()
    else:
        server: S3Server = request.getfixturevalue("s3_server")
        opened = open_store(f"s3://contract/{uuid4().hex}/deep", server.env)
    with closing(opened):
        yield opened


def keys(found: Iterator[ObjectInfo]) -> list[str]:
    return sorted(info.key for info in found)


@pytest.mark.parametrize("size", SIZES)
def test_bytes_come_back_as_they_were_put(store: ObjectStore, size: int) -> None:
    body = os.urandom(size)
    put = store.put("jobs/j/x.bin", body)
    data, info = store.get_with_info("jobs/j/x.bin")
    assert data == store.get("jobs/j/x.bin") == b"".join(store.stream("jobs/j/x.bin", chunk=70_001)) == body
    assert put.size == info.size == size
    assert put.etag == info.etag == store.stat("jobs/j/x.bin").etag == next(store.list("jobs")).etag


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda b: memoryview(b).cast("i")])
def test_any_contiguous_buffer_is_a_body(store: ObjectStore, kind: Callable[[bytes], Body]) -> None:
    store.put("k", kind(b"12345678"))
    assert store.get("k") == b"12345678"


def test_a_body_in_pieces_is_one_object(store: ObjectStore) -> None:
    content = memoryview(os.urandom(3 << 20))
    pieces = [content[:5], content[5:5], content[5 : 2 << 20], content[2 << 20 :], memoryview(b"")]
    put = store.put("k", pieces)
    assert store.get("k") == content
    assert put.size == store.stat("k").size == len(content)


def test_what_is_known_matches_what_was_put(store: ObjectStore) -> None:
    put = store.put("a/k", b"12345")
    info = store.stat("a/k")
    assert (info.key, info.size) == (put.key, put.size) == ("a/k", 5)
    assert abs(info.modified - put.modified) < 5


def test_put_replaces_and_changes_the_etag(store: ObjectStore) -> None:
    first, second = store.put("k", b"longer one"), store.put("k", b"two")
    assert store.get("k") == b"two"
    assert first.etag != second.etag


@pytest.mark.parametrize("key", ["a b+c%20d&e=f?g#h", "ünïcödé/日本", "x" * 255, "a/b/c/d/e/f", "~!$'()*,:;@"])
def test_unusual_but_safe_keys_round_trip(store: ObjectStore, key: str) -> None:
    store.put(key, key.encode())
    assert store.get(key) == key.encode()
    assert keys(store.list()) == [key]
    store.delete(key)
    assert keys(store.list()) == []


@pytest.mark.parametrize(
    ("offset", "length"), [(0, None), (3, None), (3, 4), (3, 100), (9, 1), (10, None), (10, 5), (50, 1), (3, 0)]
)
def test_ranges_are_slices(store: ObjectStore, offset: int, length: int | None) -> None:
    store.put("k", b"0123456789")
    expected = b"0123456789"[offset:][:length]
    assert store.get("k", offset=offset, length=length) == expected
    assert b"".join(store.stream("k", offset=offset, length=length, chunk=3)) == expected


def test_chunks_are_no_longer_than_asked_for(store: ObjectStore) -> None:
    store.put("k", bytes(10_000))
    assert max(map(len, store.stream("k", chunk=999))) <= 999


def test_read_into_fills_exactly_the_buffer(store: ObjectStore) -> None:
    body = os.urandom(3_000_000)
    store.put("k", body)
    around = bytearray(b"\xff" * 2_000_002)
    store.read_into("k", memoryview(around)[1:-1], offset=777)
    assert around[1:-1] == body[777 : 777 + 2_000_000]
    assert around[0] == around[-1] == 0xFF


def test_read_into_fills_typed_memory(store: ObjectStore) -> None:
    store.put("k", bytes(range(16)))
    words = memoryview(bytearray(8)).cast("I")
    store.read_into("k", words, offset=4)
    assert words.tobytes() == bytes(range(4, 12))


@pytest.mark.parametrize(("offset", "size"), [(0, 11), (5, 6), (10, 1), (99, 1), (11, 0)])
def test_read_into_refuses_an_object_that_ends_first(store: ObjectStore, offset: int, size: int) -> None:
    store.put("k", b"0123456789")
    with pytest.raises(ShortObject, match="'k'"):
        store.read_into("k", memoryview(bytearray(size)), offset=offset)


def test_what_is_missing_is_not_found(store: ObjectStore) -> None:
    store.put("jobs/j/k", b"")
    asks: list[Ask] = [
        lambda key: store.get(key),
        lambda key: store.get(key, length=0),
        lambda key: store.get_with_info(key),
        lambda key: store.stat(key),
        lambda key: store.read_into(key, memoryview(bytearray(1))),
        lambda key: store.read_into(key, memoryview(b"")),
        lambda key: next(store.stream(key)),
    ]
    for missing in ["jobs/other", "jobs", "jobs/j", "elsewhere/k"]:
        for ask in asks:
            with pytest.raises(NotFound, match=missing):
                ask(missing)


def test_an_untouched_store_is_empty_and_reachable(store: ObjectStore) -> None:
    store.probe()
    assert keys(store.list()) == keys(store.list("a/b")) == list(store.folders()) == []
    store.delete("a/b")
    store.delete_prefix("a")
    with pytest.raises(NotFound):
        store.get("k")


@pytest.mark.parametrize("key", HOSTILE)
def test_hostile_keys_are_refused(store: ObjectStore, key: str) -> None:
    asks: list[Ask] = [
        store.get,
        store.stat,
        store.delete,
        lambda k: store.put(k, b""),
        lambda k: next(store.stream(k)),
    ]
    for ask in asks:
        with pytest.raises(InvalidId, match="is not usable"):
            ask(key)


@pytest.mark.parametrize("prefix", [key for key in HOSTILE if key and key != "a/"])
def test_hostile_prefixes_are_refused(store: ObjectStore, prefix: str) -> None:
    asks: list[Ask] = [store.delete_prefix, lambda p: list(store.list(p)), lambda p: list(store.folders(p))]
    for ask in asks:
        with pytest.raises(InvalidId, match="is not usable"):
            ask(prefix)


def race(contenders: int, attempt: Callable[[int], object]) -> list[FLStoreError | None]:
    """Run `attempt` in threads that start together; return each one's error or None."""
    barrier = threading.Barrier(contenders)
    outcomes: list[FLStoreError | None] = [None] * contenders

    def run(index: int) -> None:
        barrier.wait()
        try:
            attempt(index)
        except FLStoreError as error:
            outcomes[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(contenders)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def only_winner(outcomes: list[FLStoreError | None]) -> int:
    losers = [outcome for outcome in outcomes if outcome is not None]
    assert all(type(error) is PreconditionFailed for error in losers)
    assert len(losers) == len(outcomes) - 1
    return outcomes.index(None)


def test_of_eight_creators_one_wins(store: ObjectStore) -> None:
    for turn in range(3):
        create = partial(store.put, f"deep/{turn}/er/k", if_none_match=True)
        outcomes = race(8, lambda index: create(b"%d" % index * 1000))  # noqa: B023
        assert store.get(f"deep/{turn}/er/k") == b"%d" % only_winner(outcomes) * 1000


def test_of_eight_swappers_one_wins(store: ObjectStore) -> None:
    etag = store.put("table", b"start").etag
    for turn in range(3):
        swap = partial(store.put, "table", if_match=etag)
        bodies = [b"version %d by %d" % (turn, index) for index in range(8)]
        outcomes = race(8, lambda index: swap(bodies[index]))  # noqa: B023
        data, info = store.get_with_info("table")
        assert data == bodies[only_winner(outcomes)]
        etag = info.etag


def test_swaps_lose_no_increment(store: ObjectStore) -> None:
    store.put("counter", b"0")

    def increment(_: int) -> None:
        for _ in range(5):
            while True:
                data, info = store.get_with_info("counter")
                try:
                    store.put("counter", b"%d" % (int(data) + 1), if_match=info.etag)
                    break
                except PreconditionFailed:
                    continue

    assert race(4, increment) == [None] * 4
    assert store.get("counter") == b"20"


def test_swapping_what_is_missing_or_changed_fails_and_changes_nothing(store: ObjectStore) -> None:
    etag = store.put("k", b"first").etag
    store.put("k", b"second")
    with pytest.raises(PreconditionFailed, match="'k'"):
        store.put("k", b"third", if_match=etag)
    with pytest.raises(PreconditionFailed, match="'other'"):
        store.put("other", b"third", if_match=etag)
    assert [(i.key, store.get(i.key)) for i in store.list()] == [("k", b"second")]


def test_more_than_a_page_is_listed_once_each(store: ObjectStore) -> None:
    wanted = [f"jobs/j/rounds/{number:08d}" for number in range(1030)]
    race(8, lambda index: [store.put(key, b"x") for key in wanted[index::8]])
    store.put("jobs/j2/other", b"x")
    assert keys(store.list("jobs/j")) == wanted
    store.delete_prefix("jobs/j")
    assert keys(store.list()) == ["jobs/j2/other"]


def test_listings_follow_folders_not_text(store: ObjectStore) -> None:
    for key in ["jobs/a/1/x", "jobs/a/2/x", "jobs/a/2/y", "jobs/a/top", "jobs/ab/3/x", "root"]:
        store.put(key, b"")
    assert (
        keys(store.list("jobs/a"))
        == keys(store.list("jobs/a/"))
        == ["jobs/a/1/x", "jobs/a/2/x", "jobs/a/2/y", "jobs/a/top"]
    )
    assert keys(store.list("jobs/a", recursive=False)) == ["jobs/a/top"]
    assert keys(store.list(recursive=False)) == ["root"]
    assert sorted(store.folders("jobs/a")) == ["1", "2"]
    assert sorted(store.folders("jobs/")) == ["a", "ab"]
    assert sorted(store.folders()) == ["jobs"]
    assert list(store.folders("root")) == keys(store.list("root")) == keys(store.list("nowhere")) == []


def test_delete_removes_one_object_and_can_be_repeated(store: ObjectStore) -> None:
    store.put("a/k", b"1")
    store.put("a/l", b"2")
    for _ in range(2):
        store.delete("a/k")
    store.delete("a")
    assert keys(store.list()) == ["a/l"]
    store.delete("a/l")
    assert keys(store.list()) == []
    store.put("a/k", b"3", if_none_match=True)


def test_delete_prefix_removes_a_folder_only(store: ObjectStore) -> None:
    for key in ["a/k", "a/b/k", "ab/k", "c"]:
        store.put(key, b"")
    store.delete_prefix("a/")
    store.delete_prefix("c")
    assert keys(store.list()) == ["ab/k", "c"]
    with pytest.raises(InvalidParameters, match="whole store"):
        store.delete_prefix("")


def test_many_reads_fill_their_own_buffers(store: ObjectStore) -> None:
    bodies = {f"k{index}": os.urandom(100_000 + index) for index in range(20)}
    for key, body in bodies.items():
        store.put(key, body)
    buffers = {key: memoryview(bytearray(len(body) - 5)) for key, body in bodies.items()}
    read_many(store, [(key, 5, buffer) for key, buffer in buffers.items()], workers=3)
    assert all(buffers[key] == bodies[key][5:] for key in bodies)
    read_many(store, [])


def test_many_reads_raise_the_error_of_one(store: ObjectStore) -> None:
    store.put("there", b"12345")
    reads = [(key, 0, memoryview(bytearray(5))) for key in ["there", "missing", "there"]]
    with pytest.raises(NotFound, match="missing"):
        read_many(store, reads, workers=2)


def test_without_versions_there_is_no_history_to_purge(store: ObjectStore) -> None:
    store.put("a/k", b"1")
    store.put("a/k", b"2")
    assert store.purge_history("a", lambda key: True) == 0
    assert store.get("a/k") == b"2"
