"""Slices come from the cache, and the missing ones from the store, each byte once and into its final place."""

import random
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core import codec, layout
from flstore_core.cache import Cache, Ledger
from flstore_core.errors import InsufficientCapacity, InvalidParameters, NotFound
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.policies.registry import make_policy
from flstore_core.records import Job, Member, to_bytes
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard import loader as loader_module
from flstore_core.shard.jobs import Jobs
from flstore_core.shard.loader import Loader, Slice
from flstore_core.shard.protocol import MemberRef, SliceRef
from tests.fakes.store import Call, MemoryStore

JOB = JobId("j")
HOME = layout.home(JOB, "")
SCHEMA = Schema.of([TensorSpec("wide", "F64", (2,)), TensorSpec("w", "F32", (6,)), TensorSpec("steps", "I32", ())])
"""The example of `flstore_core.shard.loader`: 8 flat elements; the data section is wide, w, steps."""


class World:
    """A store with clients c0, c1, … of one round, and a loader over a cache of `budget` bytes."""

    def __init__(self, clients: int = 3, budget: int = 10_000) -> None:
        self.store = MemoryStore()
        self.store.put(layout.job(JOB), to_bytes(Job(JOB, SCHEMA).to_json()))
        self.members = [self.put(f"c{index}", index) for index in range(clients)]
        clock = iter(range(10**9)).__next__
        policy = make_policy("lru", budget, clock, random.Random(0))
        self.cache: Cache[Slice] = Cache(Ledger(policy, budget, clock))
        self.loader = Loader(self.store, self.cache)
        self.reads: list[str] = []
        self.store.before = self._note

    def put(self, client: str, seed: int, number: int = 1, record: bool = False) -> MemberRef:
        arrays: dict[str, NDArray[Any]] = {
            "wide": vector(seed)[:2],
            "w": vector(seed)[2:].astype(np.float32),
            "steps": np.array(seed, np.int32),
        }
        body = codec.dumps(arrays, {"pad": "x" * 40 * seed})
        name = ClientId(client)
        self.store.put(layout.tensors(HOME, number, name), body)
        offset = codec.parse(memoryview(body)).data_offset
        if record:
            stored = Member(name, f"sha-{client}-{seed}", len(body), offset)
            self.store.put(layout.member(HOME, number, name), to_bytes(stored.to_json()))
        return MemberRef(number, name, f"sha-{client}-{seed}", offset)

    def _note(self, call: Call) -> None:
        if call.method == "read_into":
            self.reads.append(call.key)

    def load(self, part: SliceRef, *members: MemberRef) -> tuple[list[list[float]], Any]:
        loaded = self.loader.load(part, members, "aggregate", Pattern.P2)
        return [view.whole().tolist() for view in loaded.views], loaded.work


def vector(seed: int) -> np.ndarray[Any, np.dtype[np.float64]]:
    return np.arange(8, dtype=np.float64) + 10 * seed


def part(index: int = 0, slices: int = 1, digest: str = SCHEMA.digest) -> SliceRef:
    return SliceRef(JOB, digest, slices, index)


def test_the_example_of_the_module_holds() -> None:
    world = World(1)
    runs = world.loader.runs(part(0, 2))
    assert [(run.offset, run.nbytes) for run in runs] == [(0, 16), (16, 8)]
    world.load(part(0, 2), world.members[0])
    (value,) = (world.cache.get(key) for key in world.cache.keys())  # noqa: SIM118
    assert value is not None
    assert value.data.tobytes() == struct.pack("<2d2f", 0, 1, 2, 3)
    assert len(world.reads) == 2


@given(st.integers(1, 8), st.data())
def test_the_slices_of_any_cut_put_together_are_the_vector(slices: int, data: st.DataObject) -> None:
    world = World(2)
    which = data.draw(st.permutations(range(slices)))
    loaded = {index: world.load(part(index, slices), *world.members)[0] for index in which}
    for row in range(2):
        whole = [element for index in range(slices) for element in loaded[index][row]]
        assert whole == vector(row).tolist()


def test_what_was_loaded_is_a_hit_and_is_not_read_again() -> None:
    world = World(3)
    _, first = world.load(part(), *world.members[:2])
    world.reads.clear()
    values, second = world.load(part(), *world.members)
    assert (first.hits, first.misses, second.hits, second.misses) == (0, 2, 2, 1)
    assert second.bytes_fetched == 40
    assert second.bytes_touched == 120
    assert set(world.reads) == {layout.tensors(HOME, 1, ClientId("c2"))}
    assert values == [vector(seed).tolist() for seed in range(3)]


def test_views_come_in_the_order_asked_for_and_as_often() -> None:
    world = World(3)
    c0, c1, c2 = world.members
    values, _ = world.load(part(), c2, c0, c2, c1)
    assert values == [vector(seed).tolist() for seed in (2, 0, 2, 1)]


def test_other_bytes_under_the_same_name_are_fetched_anew() -> None:
    world = World(1)
    world.load(part(), world.members[0])
    again = world.put("c0", 5)
    values, work = world.load(part(), again)
    assert values == [vector(5).tolist()]
    assert (work.hits, work.misses) == (0, 1)


def test_a_slice_of_another_cut_is_discarded() -> None:
    world = World(1)
    world.load(part(0, 2), world.members[0])
    values, work = world.load(part(0, 1), world.members[0])
    assert values == [vector(0).tolist()]
    assert work.misses == 1
    assert len(world.cache.keys()) == 1


def test_more_than_the_cache_is_refused_before_anything_is_read() -> None:
    world = World(3, budget=100)
    with pytest.raises(InsufficientCapacity, match=r"3 slices of 40 bytes each .* more than 1 slice"):
        world.load(part(), *world.members)
    assert not world.reads


def test_a_member_that_is_not_stored_is_not_found() -> None:
    world = World(1)
    with pytest.raises(NotFound):
        world.load(part(), MemberRef(1, ClientId("nobody"), "sha", 8))


@pytest.mark.parametrize("piece_bytes", [1, 16, 10**9])
def test_pieces_cover_the_slice_whatever_their_size(piece_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loader_module, "PIECE_BYTES", piece_bytes)
    world = World(3)
    world.load(part(), world.members[1])
    pieces = world.loader.pieces(part(), world.members, stored=world.members)
    assert pieces is not None
    read: list[list[float]] = [[], [], []]
    stop = 0
    for (first, last), views in pieces:
        assert first == stop
        stop = last
        for row, view in zip(read, views, strict=True):
            row.extend(view.read(first, last).tolist())
    assert read == [vector(seed).tolist() for seed in range(3)]
    assert len(world.cache.keys()) == 1, "what statistics read is not cached"


def test_pieces_count_no_request() -> None:
    world = World(2)
    before = world.cache.snapshot()
    list(world.loader.pieces(part(), world.members, stored=world.members) or [])
    after = world.cache.snapshot()
    assert [after[pattern.value] for pattern in Pattern] == [before[pattern.value] for pattern in Pattern]


def test_what_is_neither_cached_nor_known_to_be_stored_is_not_read() -> None:
    world = World(2)
    assert world.loader.pieces(part(), world.members, stored=[world.members[0]]) is None
    assert not world.reads
    world.load(part(), world.members[1])
    assert world.loader.pieces(part(), world.members, stored=[world.members[0]]) is not None


def test_a_prefetch_finds_its_bytes_by_the_record_and_is_then_a_hit() -> None:
    world = World(0)
    member = world.put("c9", 9, record=True)
    world.loader.prefetch(part(), member.key(part()), Pattern.P2)
    _, work = world.load(part(), member)
    assert (work.hits, work.misses) == (1, 0)
    assert world.cache.snapshot()["P2"]["prefetches_used"] == 1


def test_a_prefetch_of_what_is_cached_or_gone_does_nothing() -> None:
    world = World(1)
    world.load(part(), world.members[0])
    world.reads.clear()
    world.loader.prefetch(part(), world.members[0].key(part()), Pattern.P2)
    world.loader.prefetch(part(), Key("j", 1, "nobody", 0), Pattern.P2)
    world.loader.prefetch(part(), Key("j", 1, "x", 0), Pattern.P2, MemberRef(1, ClientId("x"), "s", 8))
    assert set(world.reads) == {layout.tensors(HOME, 1, ClientId("x"))}
    assert len(world.cache.keys()) == 1


def test_an_aggregate_is_located_like_a_client() -> None:
    world = World(0)
    member = world.put(AGGREGATE, 4, record=True)
    assert world.loader.locate(part(), Key("j", 1, AGGREGATE, 0)) == member
    with pytest.raises(NotFound):
        world.loader.locate(part(), Key("j", 2, AGGREGATE, 0))


def test_a_job_is_read_once_and_again_when_its_schema_is_another() -> None:
    world = World(0)
    asked: list[str] = []
    world.store.before = lambda call: asked.append(call.key)
    jobs = Jobs(world.store)
    assert jobs.get(JOB) == jobs.get(JOB, SCHEMA.digest)
    assert asked == [layout.job(JOB)]
    other = Schema.of([TensorSpec("v", "F32", (3,))])
    world.store.put(layout.job(JOB), to_bytes(Job(JOB, other).to_json()))
    assert jobs.get(JOB).schema == SCHEMA, "nobody has said that it changed"
    assert jobs.get(JOB, other.digest).schema == other
    with pytest.raises(InvalidParameters, match="job 'j' has another schema than the request expects"):
        jobs.get(JOB, SCHEMA.digest)


def test_a_forgotten_job_is_read_anew() -> None:
    world = World(0)
    jobs = Jobs(world.store)
    jobs.get(JOB)
    world.store.delete(layout.job(JOB))
    assert jobs.get(JOB)
    jobs.forget(JOB)
    with pytest.raises(NotFound):
        jobs.get(JOB)
    jobs.forget(JobId("never-seen"))
