"""The manifest of what a shard held: what was saved comes back, newest round first."""

from dataclasses import replace

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.records import Job
from flstore_core.schema import Schema
from flstore_core.shard import working_set
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage.documents import CorruptDocument, load_json
from tests.fakes.store import Call, MemoryStore

SCHEMA = Schema.from_json([{"name": "w", "dtype": "F32", "shape": [4]}])


class Holding:
    """An engine that holds these slices."""

    def __init__(self, *held: tuple[SliceRef, MemberRef]) -> None:
        self._held = list(held)

    def working_set(self) -> list[tuple[SliceRef, MemberRef]]:
        return self._held


def slice_of(job: str, index: int = 0) -> SliceRef:
    return SliceRef(JobId(job), "digest", 2, index)


def member(number: int, client: str) -> MemberRef:
    return MemberRef(number, ClientId(client), f"sha-{number}-{client}", 120, 3.0)


HELD = (
    (slice_of("j"), member(1, "c")),
    (slice_of("j", 1), member(3, "d")),
    (slice_of("k"), member(2, AGGREGATE)),
)


def test_what_was_saved_comes_back_newest_round_first() -> None:
    store = MemoryStore()
    working_set.save(store, "shard-0", Holding(*HELD))
    recalled = list(working_set.load(store, "shard-0"))
    assert [(part, entry) for part, _, _, entry in recalled] == [HELD[1], HELD[2], HELD[0]]
    assert [key for _, key, _, _ in recalled] == [entry.key(part) for part, _, _, entry in recalled]


def test_aggregates_are_expected_to_serve_one_model_and_updates_a_round() -> None:
    store = MemoryStore()
    working_set.save(store, "s", Holding(*HELD))
    patterns = {entry.client: pattern for _, _, pattern, entry in working_set.load(store, "s")}
    assert patterns == {"c": Pattern.P2, "d": Pattern.P2, AGGREGATE: Pattern.P1}


def test_a_shard_that_never_left_has_nothing_to_recall() -> None:
    assert not list(working_set.load(MemoryStore(), "new"))


def test_each_shard_has_a_manifest_of_its_own_and_the_last_one_counts() -> None:
    store = MemoryStore()
    working_set.save(store, "a", Holding(*HELD))
    working_set.save(store, "b", Holding(HELD[0]))
    working_set.save(store, "a", Holding())
    assert [len(list(working_set.load(store, name))) for name in "ab"] == [0, 1]
    assert load_json(store, layout.working_set("a")) == {"entries": [], "later": []}


def test_a_manifest_that_cannot_be_read_is_told() -> None:
    store = MemoryStore()
    store.put(layout.working_set("s"), b"{half")
    with pytest.raises(CorruptDocument, match="working-sets/s"):
        list(working_set.load(store, "s"))
    with pytest.raises(NotFound):
        load_json(store, layout.working_set("t"))


def test_an_erased_client_leaves_every_manifest_and_nobody_else_does() -> None:
    store = MemoryStore()
    newer = replace(slice_of("j"), generation="g1")
    held = (*HELD, (slice_of("k"), member(1, "c")), (newer, member(1, "c")), (newer, member(1, "d")))
    working_set.save(store, "a", Holding(*held))
    working_set.save(store, "b", Holding(*HELD[1:]))
    store.put(layout.working_set("broken"), b"{half")
    store.put(layout.working_set("of-0.1.0"), b'{"entries": []}')
    job = Job(JobId("j"), SCHEMA, generation="g1")
    assert working_set.forget_client(store, job, ClientId("c")) == [layout.working_set("a")]
    left = [(part.job, part.generation, entry.client) for part, _, _, entry in working_set.load(store, "a")]
    assert ("j", "g1", "c") not in left
    assert len(left) == len(held) - 1, "another job's client of that name stays, and another life's"
    assert working_set.forget_client(store, job, ClientId("c")) == []


def test_a_shard_that_leaves_meanwhile_keeps_what_it_wrote() -> None:
    store = MemoryStore()
    working_set.save(store, "a", Holding(*HELD))
    job = Job(JobId("j"), SCHEMA)

    def leave(call: Call) -> None:
        if call.method == "put":
            store.before = lambda call: None
            working_set.save(store, "a", Holding(HELD[0], HELD[2]))

    store.before = leave
    assert working_set.forget_client(store, job, ClientId("c")) == [layout.working_set("a")]
    assert [entry.client for _, _, _, entry in working_set.load(store, "a")] == [AGGREGATE]
