"""Programs and data sets: a record never names other bytes than it was written for, whoever races or dies."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from functools import partial
from itertools import count

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.files import FileName, Files, StoredFile
from flstore_core.ids import JobId
from flstore_core.records import to_bytes
from tests.fakes.interleaving import Scenario, Scheduler, explore
from tests.fakes.store import Call, MemoryStore

HOME = layout.home(JobId("job"), "g1")
NAME = FileName.dataset(HOME, "d")
SHA256 = hashlib.sha256(b"one").hexdigest()
OTHERS = [FileName.dataset(HOME, "d.more"), FileName.program(HOME)]


def stored_keys(store: MemoryStore) -> list[str]:
    """Return the keys of all data sets' files."""
    return sorted(key for key in store.contents if key.startswith(NAME.folder) and key.endswith(".safetensors"))


def bytes_of(store: MemoryStore, name: FileName, stored: StoredFile) -> bytes:
    return store.contents[name.file_of(stored.upload)]


def fail_at(store: MemoryStore, method: str, key_part: str, *, after: bool = False) -> None:
    """Have the first such call fail, before or after it was carried out."""

    def fail(call: Call) -> None:
        if call.method == method and key_part in call.key:
            store.before = store.after = lambda call: None
            raise StoreUnavailable("away")

    setattr(store, "after" if after else "before", fail)


@pytest.mark.parametrize("name", [NAME, FileName.program(HOME)])
def test_what_was_put_is_read_replaced_and_deleted(name: FileName) -> None:
    store = MemoryStore()
    named = Files(store)
    first, is_new = named.put(name, b"one", {"rows": 1}, 5.0)
    assert is_new
    assert (first.sha256, first.nbytes, first.about) == (hashlib.sha256(b"one").hexdigest(), 3, {"rows": 1})
    assert named.put(name, b"one", {"rows": 1}, 6.0) == (first, False)
    second, _ = named.put(name, b"other", {}, 7.0)
    assert named.read(name) == second
    assert bytes_of(store, name, second) == b"other"
    assert len(store.contents) == 2, "the earlier file is gone"
    named.delete(name)
    assert list(store.contents) == [name.record], "a mark is left, so that no upload under way brings it back"
    for call in (named.read, named.delete):
        with pytest.raises(NotFound):
            call(name)
    assert named.put(name, b"one", {}, 8.0)[1]


def test_names_do_not_touch_each_other() -> None:
    store = MemoryStore()
    named = Files(store)
    for name in (NAME, *OTHERS):
        named.put(name, b"one", {}, 1.0)
    named.put(NAME, b"two", {}, 1.0)
    named.delete(NAME)
    for name in OTHERS:
        assert bytes_of(store, name, named.read(name)) == b"one"


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize(("method", "where"), [("put", "~"), ("put", ".json"), ("list", ""), ("delete", "~")])
def test_a_put_that_breaks_off_anywhere_leaves_a_whole_file_and_the_next_one_clears_up(
    method: str, where: str, after: bool
) -> None:
    store = MemoryStore()
    named = Files(store)
    named.put(NAME, b"one", {}, 1.0)
    fail_at(store, method, where, after=after)
    with pytest.raises(StoreUnavailable):
        named.put(NAME, b"two", {}, 2.0)
    stored = named.read(NAME)
    assert hashlib.sha256(bytes_of(store, NAME, stored)).hexdigest() == stored.sha256
    named.put(NAME, b"three", {}, 3.0)
    assert bytes_of(store, NAME, named.read(NAME)) == b"three"
    assert len(store.contents) == 2


@pytest.mark.parametrize(("method", "where"), [("put", ".json"), ("delete", "~")])
def test_a_deletion_that_broke_off_is_done_when_it_is_asked_for_again(method: str, where: str) -> None:
    store = MemoryStore()
    named = Files(store)
    named.put(NAME, b"one", {}, 1.0)
    fail_at(store, method, where, after=method == "put")
    with pytest.raises(StoreUnavailable):
        named.delete(NAME)
    with pytest.raises(NotFound):
        named.delete(NAME)
    assert list(store.contents) == [NAME.record]


class TestVersion1:
    """What version 0.1.0 stored: bytes and record under fixed keys, the bytes first."""

    def store(self, body: bytes, named: bytes) -> MemoryStore:
        store = MemoryStore()
        store.put(layout.dataset(HOME, "d"), body)
        record = {"sha256": hashlib.sha256(named).hexdigest(), "nbytes": len(named), "about": {}, "stored_at": 1.0}
        store.put(NAME.record, to_bytes(record))
        return store

    def test_it_is_read(self) -> None:
        store = self.store(b"one", named=b"one")
        assert bytes_of(store, NAME, Files(store).read(NAME)) == b"one"

    def test_a_crash_between_its_writes_is_mended_by_the_next_put(self) -> None:
        """Before, the put was answered `unchanged`, and reads went on to give the other bytes under that hash."""
        store = self.store(b"two", named=b"one")
        stored, is_new = Files(store).put(NAME, b"one", {}, 2.0)
        assert is_new
        assert bytes_of(store, NAME, stored) == b"one"
        assert layout.dataset(HOME, "d") not in store.contents

    def test_it_is_replaced_and_deleted(self) -> None:
        store = self.store(b"one", named=b"one")
        Files(store).delete(NAME)
        assert list(store.contents) == [NAME.record]


Operation = Callable[[Files], object]


def put(body: bytes) -> Operation:
    return lambda named: named.put(NAME, body, {}, 1.0)[0]


def delete(named: Files) -> object:
    named.delete(NAME)
    return None


@pytest.mark.parametrize(
    "operations",
    [
        {"A": put(b"one"), "B": put(b"two")},
        {"A": put(b"one"), "B": put(b"one")},
        {"A": put(b"one"), "delete": delete},
        {"A": put(b"old"), "delete": delete},
        {"delete": delete, "again": delete},
    ],
    ids=["two", "twice", "deleted", "same-deleted", "deleted-twice"],
)
def test_in_every_order_the_record_names_whole_bytes_that_were_acknowledged(
    operations: Mapping[str, Operation],
) -> None:
    def make(scheduler: Scheduler) -> Scenario:
        store, numbers = MemoryStore(), count()
        gateways = {name: Files(store, lambda: f"u{next(numbers)}") for name in operations}
        Files(store, lambda: "u-old").put(NAME, b"old", {}, 0.0)
        store.before = scheduler.pause

        def check(outcomes: Mapping[str, object]) -> None:
            store.before = lambda call: None
            assert not [
                each for each in outcomes.values() if isinstance(each, Exception) and type(each) is not NotFound
            ]
            record = json.loads(store.contents[NAME.record])
            acknowledged = {each.upload for each in outcomes.values() if isinstance(each, StoredFile)}
            if "removed" in record:
                assert delete in operations.values()
                assert stored_keys(store) == [], "nothing is left"
                return
            stored = Files(store).read(NAME)
            assert stored.upload in acknowledged, "what is stored was acknowledged"
            assert hashlib.sha256(bytes_of(store, NAME, stored)).hexdigest() == stored.sha256
            assert stored_keys(store) == [NAME.file_of(stored.upload)], "nothing else is left"

        return Scenario({name: partial(each, gateways[name]) for name, each in operations.items()}, check)

    assert explore(make) > 1


def test_three_writers_leave_one_whole_file_in_every_order_with_two_switches() -> None:
    def make(scheduler: Scheduler) -> Scenario:
        store, numbers = MemoryStore(), count()
        gateways = [Files(store, lambda: f"u{next(numbers)}") for _ in range(3)]
        store.put(NAME.file_of("cut-off"), b"half")
        store.before = scheduler.pause

        def check(outcomes: Mapping[str, object]) -> None:
            store.before = lambda call: None
            stored = Files(store).read(NAME)
            assert stored in outcomes.values()
            assert stored_keys(store) == [NAME.file_of(stored.upload)]

        return Scenario({str(n): partial(put(bytes([n])), each) for n, each in enumerate(gateways)}, check)

    assert explore(make, preemptions=2) > 1


def test_a_write_whose_answer_was_lost_is_taken_for_done() -> None:
    """The store carried it out twice, so the second one finds its own record in the way."""
    store = MemoryStore()
    named = Files(store)

    def twice(call: Call) -> None:
        if call == Call("put", NAME.record):
            store.before = lambda call: None
            (file,) = stored_keys(store)
            upload = file.partition("~")[2].removesuffix(".safetensors")
            store.put(NAME.record, to_bytes(asdict(StoredFile(SHA256, 3, {}, 1.0, upload))))

    store.before = twice
    stored, is_new = named.put(NAME, b"one", {}, 1.0)
    assert is_new
    assert bytes_of(store, NAME, stored) == b"one"
