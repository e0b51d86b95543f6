"""Records and table in the store: read, created, deleted, and swapped by one controller at a time."""

import json
from pathlib import Path

import pytest

from flstore_core import layout
from flstore_core.errors import PreconditionFailed, StoreUnavailable
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, JobId
from flstore_core.placement import Table
from flstore_core.records import to_bytes
from flstore_core.storage import Body, DirectoryStore, ObjectInfo
from services.placement.memory import Memory
from tests.fakes.store import Call, MemoryStore
from tests.kubernetes.world import job

JOB = JobId("digits")
HOME = layout.home(JOB, "")


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


@pytest.fixture
def memory(store: DirectoryStore) -> Memory:
    return Memory(store)


def test_a_job_is_created_once_read_and_deleted_with_all_it_stored(store: DirectoryStore, memory: Memory) -> None:
    assert memory.read_job(JOB) is None
    assert memory.create_job(job("digits", hot_rounds=7))
    assert not memory.create_job(job("digits", hot_rounds=9))
    assert memory.read_job(JOB) == job("digits", hot_rounds=7)
    home = memory.read_jobs()[JOB].home
    store.put(layout.tensors(home, 0, ClientId("c")), b"update")
    memory.delete_job(JOB)
    memory.delete_job(JOB)
    assert memory.read_job(JOB) is None
    assert memory.read_jobs() == {}
    assert [info.key for info in store.list()] == [layout.job(JOB)], "the record stays and says that it is deleted"


def test_a_new_job_begins_without_what_an_interrupted_deletion_left(store: DirectoryStore, memory: Memory) -> None:
    store.put(layout.tensors(HOME, 0, ClientId("c")), b"of an earlier job")
    for key in (layout.artifact(HOME, "old"), layout.dataset(HOME, "d"), layout.dataset_record(HOME, "d")):
        store.put(key, b"of an earlier job")
    for key in (layout.program(HOME), layout.program_record(HOME)):
        store.put(key, b"of an earlier job")
    assert memory.read_jobs() == {}, "a name without a record"
    assert memory.create_job(job("digits"))
    assert [info.key for info in store.list()] == [layout.job(JOB)]


def test_of_two_that_create_a_job_at_the_same_moment_one_does(tmp_path: Path) -> None:
    class Racing(DirectoryStore):
        """Another process creates the job between the look and the write."""

        def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
            super().put(layout.job(JOB), b'{"theirs": true}')
            return super().put(key, body, if_none_match=if_none_match, if_match=if_match)

    store = Racing(tmp_path / "store")
    assert not Memory(store).create_job(job("digits"))
    assert store.get(layout.job(JOB)) == b'{"theirs": true}'


@pytest.mark.parametrize("spoiled", [b"{]", b"[]", b"{}"])
def test_a_record_or_table_that_cannot_be_read_is_named(store: DirectoryStore, memory: Memory, spoiled: bytes) -> None:
    store.put(layout.job(JOB), spoiled)
    with pytest.raises(StoreUnavailable, match=r"object 'jobs/digits/job\.json' is not a job record"):
        memory.read_job(JOB)
    store.put(layout.TABLE, spoiled)
    with pytest.raises(StoreUnavailable, match=r"object 'placement/table\.json' is not a placement table"):
        memory.read_table()


def test_a_job_has_a_program_once_it_was_uploaded(store: DirectoryStore, memory: Memory) -> None:
    assert not memory.has_program(job("digits"))
    store.put(layout.program_record(HOME), b"{}")
    assert memory.has_program(job("digits"))


def test_a_table_is_swapped_by_whoever_read_it_last(memory: Memory) -> None:
    assert memory.read_table() == (Table(), None)
    first = memory.swap_table(Table(1), None)
    with pytest.raises(PreconditionFailed):
        memory.swap_table(Table(1), None)
    memory.swap_table(Table(2), first)
    with pytest.raises(PreconditionFailed):
        memory.swap_table(Table(3), first)
    table, etag = memory.read_table()
    assert table == Table(2)
    memory.swap_table(Table(3), etag)


def test_a_deletion_that_broke_off_is_finished() -> None:
    store = MemoryStore()
    memory = Memory(store)
    memory.create_job(job("a"))
    memory.create_job(job("b"))
    record = memory.read_job(JobId("a"))
    assert record
    store.put(layout.artifact(record.home, "left"), b"model")

    def fail(call: Call) -> None:
        if call.method == "delete_prefix":
            raise StoreUnavailable("away")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        memory.delete_job(JobId("a"))
    store.before = lambda call: None
    assert list(memory.read_jobs()) == ["b"]
    memory.finish_deletions()
    assert sorted(store.contents) == [layout.job(JobId("a")), layout.job(JobId("b"))]
    before = store.contents
    memory.read_jobs()
    memory.finish_deletions()
    assert store.contents == before


def test_a_job_that_was_made_anew_since_is_not_deleted() -> None:
    store = MemoryStore()
    memory = Memory(store)
    memory.create_job(job("a"))
    Generations(store).delete(JobId("a"))
    marked = {**json.loads(store.contents[layout.job(JobId("a"))]), "state": "deleting"}
    store.put(layout.job(JobId("a")), to_bytes(marked))
    assert memory.read_jobs() == {}
    memory.create_job(job("a"))
    memory.finish_deletions()
    assert list(memory.read_jobs()) == ["a"]
