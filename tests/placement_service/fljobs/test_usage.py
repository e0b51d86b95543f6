"""A job's bytes in the store are counted exactly, and without listing what cannot have changed."""

from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.ids import ClientId, JobId
from flstore_core.storage import DirectoryStore, ObjectInfo, ObjectStore
from services.placement.fljobs.usage import FRESH_S, RECOUNT_S, Durable, Usage
from tests.fakes.time import FakeTime
from tests.kubernetes.world import job

JOB = job("job")
HOME = JOB.home
ALICE, BOB = ClientId("alice"), ClientId("bob")


class Listed:
    """A store that notes which prefixes are listed."""

    def __init__(self, store: DirectoryStore) -> None:
        self._store = store
        self.prefixes: list[str] = []

    def folders(self, prefix: str) -> Iterator[str]:
        return self._store.folders(prefix)

    def list(self, prefix: str) -> Iterator[ObjectInfo]:
        self.prefixes.append(prefix)
        return self._store.list(prefix)


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


def put_round(store: DirectoryStore, number: int, nbytes: int, committed: bool = True) -> None:
    store.put(layout.tensors(HOME, number, ALICE), bytes(nbytes))
    if committed:
        store.put(layout.round_record(HOME, number), bytes(7))


def test_an_empty_job_holds_nothing(store: DirectoryStore) -> None:
    assert Usage(store, FakeTime()).measure(JOB) == Durable(0, 0, None, 0)


def test_rounds_artifacts_and_datasets_are_counted(store: DirectoryStore) -> None:
    put_round(store, 3, 100)
    put_round(store, 11, 200)
    put_round(store, 12, 50, committed=False)
    store.put(layout.artifacts_prefix(HOME) + "a.safetensors", bytes(1000))
    store.put(layout.datasets_prefix(HOME) + "d.safetensors", bytes(20))
    put_other = layout.tensors(job("job-2").home, 0, ALICE)
    store.put(put_other, bytes(10**6))
    assert Usage(store, FakeTime()).measure(JOB) == Durable(2, 1, 11, 100 + 200 + 50 + 2 * 7 + 1000 + 20)


async def test_a_count_is_told_again_for_ten_seconds(store: DirectoryStore) -> None:
    time = FakeTime()
    usage = Usage(store, time)
    put_round(store, 0, 100)
    before = usage.measure(JOB)
    put_round(store, 1, 100)
    await time.advance(FRESH_S - 0.1)
    assert usage.measure(JOB) == before
    await time.advance(0.1)
    assert usage.measure(JOB).committed == 2


async def test_committed_rounds_are_listed_once_an_hour(store: DirectoryStore) -> None:
    time, listed = FakeTime(), Listed(store)
    usage = Usage(cast(ObjectStore, listed), time)
    put_round(store, 0, 100)
    put_round(store, 1, 100, committed=False)
    usage.measure(JOB)
    listed.prefixes.clear()
    await time.advance(FRESH_S)
    usage.measure(JOB)
    assert [prefix for prefix in listed.prefixes if "/rounds/" in prefix] == [layout.rounds_prefix(HOME) + "00000001"]
    store.delete(layout.tensors(HOME, 0, ALICE))  # an erasure
    await time.advance(RECOUNT_S)
    assert usage.measure(JOB).nbytes == 7 + 100


async def test_a_job_that_was_forgotten_is_counted_afresh(store: DirectoryStore) -> None:
    usage = Usage(store, FakeTime())
    put_round(store, 0, 100)
    usage.measure(JOB)
    store.delete_prefix(layout.job_prefix(JOB.id))
    usage.forget(JOB.id)
    assert usage.measure(JOB) == Durable(0, 0, None, 0)
    usage.forget(JobId("never counted"))


steps = st.lists(
    st.tuples(st.sampled_from(["put", "commit", "drop"]), st.integers(0, 4), st.integers(1, 999)), max_size=12
)


@settings(max_examples=25, deadline=None)
@given(steps)
async def test_after_any_history_the_count_is_what_a_full_listing_finds(
    tmp_path_factory: pytest.TempPathFactory, history: list[tuple[str, int, int]]
) -> None:
    store, time = DirectoryStore(tmp_path_factory.mktemp("usage")), FakeTime()
    usage, committed, begun = Usage(store, time), set[int](), set[int]()
    for step, number, nbytes in history:
        if step == "put" and number not in committed:
            store.put(layout.tensors(HOME, number, BOB), bytes(nbytes))
            begun.add(number)
        elif step == "commit":
            store.put(layout.round_record(HOME, number), b"{}")
            committed.add(number)
        elif step == "drop":
            store.delete_prefix(layout.rounds_prefix(HOME) + f"{number:08d}/")
            committed.discard(number)
            begun.discard(number)
        await time.advance(FRESH_S)
        total = sum(info.size for info in store.list(layout.job_prefix(JOB.id)))
        latest = max(committed, default=None)
        assert usage.measure(JOB) == Durable(len(committed), len(begun - committed), latest, total)
