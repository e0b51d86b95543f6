"""A shard's engine over a real directory store: whatever happened to its cache, its answers are the same."""

import hashlib
import random
import weakref
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from flstore_core import codec, layout
from flstore_core.cache import Cache, Ledger
from flstore_core.errors import InsufficientCapacity, InvalidParameters, NotFound
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.registry import make_policy
from flstore_core.records import Job, to_bytes
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard import loader, working_set
from flstore_core.shard.engine import Engine
from flstore_core.shard.protocol import Answer, MapRequest, MemberRef, SliceRef, StatisticsRequest
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore, open_store

COUNT = 30_000
SCHEMA = Schema.of(
    [TensorSpec("a", "F32", (COUNT - 1000,)), TensorSpec("h", "F16", (1000,)), TensorSpec("n", "U8", (3,))]
)
JOB = JobId("j")
HOME = layout.home(JOB, "")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    with closing(open_store(str(tmp_path / "store"), {})) as opened:
        opened.put(layout.job(JOB), to_bytes(Job(JOB, SCHEMA).to_json()))
        yield opened


def engine(store: ObjectStore, budget: int = 2**24, policy: str = "lru+arrival") -> Engine:
    clock = iter(range(10**9)).__next__
    made = make_policy(policy, budget, clock, random.Random(0))
    return Engine(store, Cache(Ledger(made, budget, clock)))


def part(index: int = 0, slices: int = 1) -> SliceRef:
    return SliceRef(JOB, SCHEMA.digest, slices, index)


def update(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    return save(
        {
            "a": rng.standard_normal(COUNT - 1000, np.float32),
            "h": rng.standard_normal(1000).astype(np.float16),
            "n": np.arange(3, dtype=np.uint8),
        },
        {"seed": "x" * (seed % 3 * 40)},  # headers of different lengths
    )


def vector(seed: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    found = load(update(seed))
    return np.concatenate([found["a"], found["h"]]).astype(float)


def ref(seed: int, client: str = "", number: int = 1) -> MemberRef:
    body = update(seed)
    digest = hashlib.sha256(body).hexdigest()
    return MemberRef(number, ClientId(client or f"c{seed}"), digest, codec.parse(memoryview(body)).data_offset)


def write(store: ObjectStore, seed: int, client: str = "", number: int = 1) -> MemberRef:
    member = ref(seed, client, number)
    store.put(layout.tensors(HOME, number, member.client), update(seed))
    return member


def send(
    shard: Engine, seed: int, base: MemberRef | None = None, client: str = "", of: SliceRef | None = None
) -> MemberRef:
    member, where = ref(seed, client), of or part()
    data = memoryview(update(seed))[member.data_offset :]
    runs = SCHEMA.runs(*where.bounds(SCHEMA))
    packed = b"".join(data[run.offset : run.offset + run.nbytes] for run in runs)
    shard.put(where, member, base, np.frombuffer(packed, np.uint8))
    return member


def gram(
    shard: Engine, members: list[MemberRef], base: MemberRef | None = None, of: SliceRef | None = None
) -> RoundStatistics:
    answer = shard.statistics(StatisticsRequest(of or part(), tuple(members), base))
    assert isinstance(answer.body, bytes)
    return RoundStatistics.from_bytes(answer.body)


def expect(found: RoundStatistics, seeds: list[int], base: int | None = None) -> None:
    deltas = np.array([vector(seed) - (0 if base is None else vector(base)) for seed in seeds])
    np.testing.assert_allclose(found.gram, deltas @ deltas.T, rtol=1e-6, atol=1e-6 * COUNT)


def mean(shard: Engine, members: list[MemberRef], of: SliceRef | None = None) -> bytes:
    request = MapRequest(of or part(), "aggregate", Pattern.P2, {}, tuple(members), None)
    answer: Answer = shard.map(request)[0]
    return b"".join(bytes(piece) for piece in answer.body) if isinstance(answer.body, list) else answer.body


def vector_of(partial: bytes) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return codec.loads(partial)[0]["vector"].astype(float)


@pytest.mark.parametrize("budget", [2**24, 300_000, 130_000])
@pytest.mark.parametrize("policy", ["lru+arrival", "lru", "tailored"])
def test_statistics_are_the_same_whatever_was_evicted(store: ObjectStore, budget: int, policy: str) -> None:
    shard, base = engine(store, budget, policy), write(store, 0, AGGREGATE, 0)
    members = []
    for seed in range(1, 13):
        members.append(send(shard, seed, base))
        write(store, seed)
    expect(gram(shard, members, base), list(range(1, 13)), 0)
    expect(gram(shard, members[::-1][:3], base), [12, 11, 10], 0)
    assert shard.inventory()["used_bytes"] <= budget


def test_what_was_fetched_for_statistics_takes_little_memory_at_a_time(
    store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loader, "PIECE_BYTES", 100_000)
    members = [write(store, seed) for seed in range(6)]
    expect(gram(engine(store, 130_000), members), list(range(6)))
    expect(gram(engine(store), members), list(range(6)))


def test_bytes_that_were_never_acknowledged_count_for_nothing(store: ObjectStore) -> None:
    shard = engine(store)
    others = [send(shard, seed) for seed in (1, 2, 3, 4)]
    send(shard, 50, client="c")  # the fifth: all are folded in
    for seed in (1, 2, 3, 4):
        write(store, seed)
    real = write(store, 51, "c")
    expect(gram(shard, [*others, real]), [1, 2, 3, 4, 51])
    assert mean(shard, [real]) == mean(engine(store), [real])


def test_an_upload_that_lost_does_not_replace_the_winner(store: ObjectStore) -> None:
    shard = engine(store)
    real = write(store, 51, "c")
    send(shard, 51, client="c")
    send(shard, 50, client="c")
    expect(gram(shard, [real]), [51])
    assert mean(shard, [real]) == mean(engine(store), [real])


def test_an_upload_under_way_is_not_read_from_a_store_that_has_others_of_its_name(store: ObjectStore) -> None:
    shard = engine(store, 130_000)  # room for one: the earlier ones are evicted before the fifth is folded in
    write(store, 90, "c1")  # an abandoned upload's bytes, which c1's will replace
    members = [send(shard, seed) for seed in (1, 2, 3, 4, 5)]
    for seed in (1, 2, 3, 4, 5):
        write(store, seed)
    expect(gram(shard, members), [1, 2, 3, 4, 5])


def test_an_open_round_is_asked_about_while_it_grows(store: ObjectStore) -> None:
    shard, members = engine(store), []
    for seed in range(1, 9):
        members.append(send(shard, seed))
        write(store, seed)
        expect(gram(shard, members), list(range(1, seed + 1)))
    send(shard, 99)  # arrived, and not acknowledged
    expect(gram(shard, members), list(range(1, 9)))


def test_a_job_cut_anew_is_read_anew(store: ObjectStore) -> None:
    shard = engine(store)
    members = [send(shard, seed) for seed in (1, 2)]
    for seed in (1, 2):
        write(store, seed)
    gram(shard, members)
    halves = [gram(shard, members, of=part(index, 2)) for index in (0, 1)]
    expect(RoundStatistics.add_up(halves), [1, 2])
    assert mean(shard, members, part(0, 2)) == mean(engine(store), members, part(0, 2))


def test_a_map_does_not_depend_on_how_the_bytes_got_there(store: ObjectStore) -> None:
    hot = engine(store)
    members = [send(hot, seed) for seed in (1, 2, 3)]
    for seed in (1, 2, 3):
        write(store, seed)
    cold = engine(store)
    assert mean(hot, members) == mean(cold, members) == mean(cold, members)
    found, _ = codec.loads(mean(cold, members))
    assert any(
        np.allclose(array.ravel(), np.mean([vector(seed) for seed in (1, 2, 3)], axis=0), atol=1e-5)
        for array in found.values()
        if array.size == COUNT
    )


def test_differences_are_mapped_as_the_models_that_they_stand_for(store: ObjectStore) -> None:
    shard, base = engine(store), write(store, 9, AGGREGATE, 0)
    members = [write(store, 1), write(store, 2)]
    as_they_are = vector_of(mean(shard, members))
    deltas = tuple(replace(member, is_delta=True) for member in members)
    request = MapRequest(part(), "aggregate", Pattern.P2, {}, deltas, base, bases={1: base})
    answer, _ = shard.map(request)
    found = b"".join(bytes(piece) for piece in answer.parts)
    np.testing.assert_allclose(vector_of(found), as_they_are + vector(9), rtol=1e-6, atol=1e-6)
    assert answer.work.misses == 1, "the base is read once, for the sums and for the distance"
    assert codec.loads(found)[0]["moved"][0] == pytest.approx(as_they_are @ as_they_are, rel=1e-5)


def test_a_shard_that_was_away_comes_back_with_what_it_held(store: ObjectStore) -> None:
    before = engine(store)
    members = [send(before, seed) for seed in (1, 2)]
    for seed in (1, 2):
        write(store, seed)
    working_set.save(store, "s", before)
    after = engine(store)
    held = list(working_set.load(store, "s"))
    assert {member for _, _, _, member in held} == set(members)
    store.delete(layout.tensors(HOME, 1, ClientId("c1")))  # erased meanwhile
    for wanted in held:
        after.prefetch(*wanted)
    assert [member.client for _, member in after.working_set()] == ["c2"]
    assert mean(after, members[1:]) == mean(before, members[1:])
    assert not list(working_set.load(store, "another"))


def test_more_than_the_budget_is_refused_with_the_numbers(store: ObjectStore) -> None:
    members = [write(store, seed) for seed in (1, 2, 3)]
    with pytest.raises(
        InsufficientCapacity, match=r"3 slices of 118000 bytes each do not fit into the shard's cache of 300000"
    ):
        mean(engine(store, 300_000), members)
    assert mean(engine(store, 300_000), members[:2])


class Held:
    """Counts the bytes of a shard's slices and windows that are referred to by anything.

    Attributes:
        peak: the most bytes at once.
    """

    def __init__(self) -> None:
        self.now = self.peak = 0

    def empty(self, nbytes: int, dtype: type[np.generic]) -> np.ndarray[Any, Any]:
        array = np.empty(nbytes, dtype)
        self.now += nbytes
        self.peak = max(self.peak, self.now)
        weakref.finalize(array, self._release, nbytes)
        return array

    def _release(self, nbytes: int) -> None:
        self.now -= nbytes


@pytest.mark.parametrize("params", [{}, {"method": "median"}, {"method": "trimmed-mean", "trim": 0.2}], ids=str)
def test_a_round_larger_than_the_cache_takes_the_cache_and_an_eighth_of_it(
    store: ObjectStore, params: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = tuple(write(store, seed) for seed in range(12))
    request = MapRequest(part(), "aggregate", Pattern.P2, params, members, None, ((0.1,),) * 12)
    expected = vector_of(b"".join(engine(store).map(request)[0].parts))
    held, budget = Held(), 300_000
    monkeypatch.setattr(loader, "buffers", held)
    shard, start, pieces = engine(store, budget), 0, []
    for member in members[:2]:
        shard.prefetch(part(), member.key(part()), Pattern.P2, member)
    assert held.now == 236_000, "two of twelve are cached"
    while start < COUNT:
        answer, _ = shard.map(replace(request, start=start))
        assert answer.window is not None
        start = answer.window.stop
        pieces.append(vector_of(b"".join(answer.parts)))
        del answer
        assert held.now == 236_000, "the window is given up with its answer, and what was cached stays"
    assert np.array_equal(np.concatenate(pieces), expected), "to the last bit"
    assert 236_000 < held.peak <= budget + budget // 8


def test_a_slice_of_another_size_or_schema_is_refused(store: ObjectStore) -> None:
    shard = engine(store)
    with pytest.raises(InvalidParameters, match="expected 118000"):
        shard.put(part(), ref(1), None, np.zeros(7, np.uint8))
    with pytest.raises(InvalidParameters, match="another schema"):
        shard.put(SliceRef(JOB, "0" * 64, 1, 0), ref(1), None, np.zeros(118_000, np.uint8))
    with pytest.raises(NotFound):
        mean(shard, [ref(1)])
    with pytest.raises(InvalidParameters, match="slice 2 of 2"):
        part(2, 2)


def test_what_is_forgotten_is_gone(store: ObjectStore) -> None:
    shard = engine(store)
    members = [send(shard, seed) for seed in (1, 2, 3)]
    assert shard.forget_client(JOB, ClientId("c2")) == 1
    assert {member.client for _, member in shard.working_set()} == {"c1", "c3"}
    assert shard.keep_only({JOB: [0]}) == 0
    for seed in (1, 3):
        write(store, seed)
    expect(gram(shard, [members[0], members[2]]), [1, 3])
    assert shard.keep_only({}) == 2
    send(shard, 1)
    assert shard.forget_job(JOB) == 1
    assert shard.working_set() == []
