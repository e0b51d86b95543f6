"""Jobs' records: proposed, live, deleted; and what is left of each generation."""

import json
from collections.abc import Callable

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.generations import Generations, State, new_generation
from flstore_core.ids import ClientId, Home, JobId
from flstore_core.records import Job, to_bytes
from flstore_core.schema import Schema
from flstore_core.storage.documents import CorruptDocument
from tests.fakes.store import Call, MemoryStore

NAME = JobId("job")
SCHEMA = Schema.from_json([{"name": "w", "dtype": "F32", "shape": [2]}])
JOB = Job(NAME, SCHEMA, created_at=1.0, generation="g1")
ANEW = Job(NAME, SCHEMA, created_at=2.0, generation="g2")
OLD = Job(NAME, SCHEMA, created_at=0.5)
KEY = layout.job(NAME)


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def generations(store: MemoryStore) -> Generations:
    return Generations(store)


def fill(store: MemoryStore, home: Home) -> None:
    """Store something of each kind."""
    for key in (
        layout.tensors(home, 0, ClientId("c")),
        layout.opening(home, 0),
        layout.program(home),
        layout.program_record(home),
        layout.dataset(home, "d"),
        layout.artifact(home, "a"),
    ):
        store.put(key, b"{}")


def store_as_version_1(store: MemoryStore, job: Job) -> None:
    record = job.to_json()
    del record["generation"]
    store.put(layout.job(job.id), to_bytes(record))


def state(store: MemoryStore) -> str:
    return str(json.loads(store.contents[KEY])["state"])


def test_a_job_comes_back_as_it_was_begun(generations: Generations) -> None:
    assert generations.begin(JOB)
    read = generations.read(NAME)
    assert (read, read.home, read.created_at) == (JOB, JOB.home, 1.0)
    assert not generations.begin(ANEW)
    assert generations.read(NAME).home == JOB.home


def test_generations_are_never_named_alike() -> None:
    assert len({new_generation() for _ in range(100)}) == 100


def test_a_proposed_job_is_placed_but_not_yet_there(store: MemoryStore, generations: Generations) -> None:
    proposal = generations.propose(JOB)
    assert proposal
    assert generations.read_placeable(NAME) == JOB
    with pytest.raises(NotFound):
        generations.read(NAME)
    with pytest.raises(NotFound):
        generations.require(JOB)
    assert generations.settle(proposal)
    generations.require(JOB)
    assert generations.propose(ANEW) is None


def test_a_proposal_for_the_same_job_is_taken_over(generations: Generations) -> None:
    """Its gateway may have crashed."""
    first, second = generations.propose(JOB), generations.propose(ANEW)
    assert first
    assert first == second
    assert generations.settle(first)
    assert not generations.settle(second)


def test_a_proposal_for_another_job_replaces_one(generations: Generations) -> None:
    first = generations.propose(JOB)
    second = generations.propose(Job(NAME, SCHEMA, hot_rounds=9, generation="g2"))
    assert first
    assert second
    assert not generations.settle(first)
    generations.withdraw(first)
    assert generations.settle(second)


def test_what_is_settled_cannot_be_withdrawn(generations: Generations) -> None:
    proposal = generations.propose(JOB)
    assert proposal
    assert generations.settle(proposal)
    generations.withdraw(proposal)
    assert generations.read(NAME) == JOB


@pytest.mark.parametrize("job", [JOB, OLD])
def test_a_deleted_job_leaves_its_record_alone(store: MemoryStore, generations: Generations, job: Job) -> None:
    generations.begin(job)
    fill(store, job.home)
    generations.delete(NAME)
    assert list(store.contents) == [KEY]
    for read in (generations.read, generations.read_placeable, generations.delete):
        with pytest.raises(NotFound):
            read(NAME)
    assert generations.begin(ANEW)


def test_deleting_what_there_never_was_is_refused(generations: Generations) -> None:
    with pytest.raises(NotFound):
        generations.delete(NAME)


@pytest.mark.parametrize("go_on", [lambda g: g.delete(NAME), lambda g: g.begin(ANEW), lambda g: look(g)])
@pytest.mark.parametrize("broken", ["delete_prefix", "delete", "folders"])
def test_a_deletion_that_broke_off_goes_on(
    store: MemoryStore, generations: Generations, broken: str, go_on: Callable[[Generations], object]
) -> None:
    generations.begin(OLD)
    fill(store, OLD.home)

    def fail(call: Call) -> None:
        if call.method == broken:
            raise StoreUnavailable("the store is away")

    store.before = fail
    with pytest.raises(StoreUnavailable):
        generations.delete(NAME)
    store.before = lambda call: None
    assert state(store) == State.DELETING
    go_on(generations)
    assert list(store.contents) == [KEY]


def look(generations: Generations) -> None:
    with pytest.raises(NotFound):
        generations.read(NAME)


def test_a_late_deletion_does_not_touch_the_successor(store: MemoryStore, generations: Generations) -> None:
    """The deletion of the first generation lists, then stalls while the second one is begun and filled."""
    generations.begin(JOB)
    fill(store, JOB.home)

    def make_anew(call: Call) -> None:
        if call.method == "delete_prefix":
            store.before = lambda call: None
            Generations(store).begin(ANEW)
            fill(store, ANEW.home)

    store.before = make_anew
    generations.delete(NAME)
    left = {key for key in store.contents if key != KEY}
    assert len(left) == 6
    assert all(key.startswith(f"{ANEW.home}/") for key in left)
    assert generations.read(NAME).home == ANEW.home


def test_what_comes_late_into_an_ended_generation_is_removed(store: MemoryStore, generations: Generations) -> None:
    generations.begin(JOB)
    generations.delete(NAME)
    generations.begin(ANEW)
    fill(store, ANEW.home)
    store.put(layout.tensors(JOB.home, 0, ClientId("late")), b"late")
    with pytest.raises(NotFound, match="deleted meanwhile"):
        generations.require(JOB)
    generations.require(ANEW)
    assert not [key for key in store.contents if key.startswith(f"{JOB.home}/")]


class TestVersion1:
    """Stores of version 0.1.0, and that version beside this one."""

    def test_a_job_is_read_where_it_lies(self, store: MemoryStore, generations: Generations) -> None:
        store_as_version_1(store, OLD)
        fill(store, OLD.home)
        job = generations.read(NAME)
        assert job == OLD
        assert layout.opening(job.home, 0) == "jobs/job/rounds/00000000/open.json"
        generations.require(job)
        generations.sweep(NAME)
        assert len(store.contents) == 7, "nothing of it is swept"
        generations.delete(NAME)
        assert list(store.contents) == [KEY]

    def test_what_its_deletion_has_left_is_not_inherited(self, store: MemoryStore, generations: Generations) -> None:
        fill(store, OLD.home)
        generations.sweep(NAME)
        assert store.contents, "it may be making the job anew at this moment"
        generations.begin(ANEW)
        assert list(store.contents) == [KEY]

    def test_it_deletes_without_a_mark(self, store: MemoryStore, generations: Generations) -> None:
        store_as_version_1(store, OLD)
        store.delete(KEY)
        with pytest.raises(NotFound):
            generations.require(OLD)

    @pytest.mark.parametrize("end", [lambda g: None, lambda g: g.delete(NAME)])
    def test_it_reads_records_but_no_update_passes_its_check(
        self, store: MemoryStore, generations: Generations, end: Callable[[Generations], None]
    ) -> None:
        """It knows no generations and would write to the wrong place."""
        generations.begin(JOB)
        end(generations)
        record = json.loads(store.contents[KEY])
        for name in ("job", "statistics", "clients_per_round", "hot_rounds", "replicas", "slices"):
            assert name in record, "what that version reads"
        assert Schema.from_json(record["schema"]) != SCHEMA


def test_a_mark_keeps_what_a_later_version_wrote(store: MemoryStore, generations: Generations) -> None:
    generations.begin(JOB)
    store.put(KEY, to_bytes({**json.loads(store.contents[KEY]), "later": 7}))
    marks: list[object] = []
    store.after = lambda call: marks.append(store.contents[KEY]) if call == Call("put", KEY) else None
    assert generations.read(NAME) == JOB
    generations.delete(NAME)
    assert json.loads(str(marks[0], "utf-8"))["later"] == 7  # type: ignore[call-overload]


def test_a_record_that_is_no_object_is_told(store: MemoryStore, generations: Generations) -> None:
    store.put(KEY, b"[]")
    with pytest.raises(CorruptDocument):
        generations.read(NAME)
