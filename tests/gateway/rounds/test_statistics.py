"""Statistics that shards work out: of open rounds, and in place of stored ones that do not fit."""

import numpy as np
import pytest

from flstore_core import layout
from flstore_core.errors import Unavailable
from flstore_core.ids import ClientId
from flstore_core.patterns import Pattern
from flstore_core.records import Round
from flstore_core.shard.protocol import Work
from flstore_core.statistics import RoundStatistics
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, World, gram, values, without_statistics, world


def opened(slices: int = 1) -> tuple[World, Round]:
    gateway = world(slices=slices)
    for client, seed in (("a", 1), ("b", 2)):
        gateway.put(0, client, seed)
    return gateway, gateway.rounds.openings.read_open(JOB, 0)


def asked(gateway: World) -> list[Call]:
    """Return the list that calls of shards from now on go to."""
    calls: list[Call] = []
    gateway.backends.shards.before = calls.append
    return calls


def test_the_example_of_the_module() -> None:
    ends = [np.array([1.0, 3.0]), np.array([2.0, 4.0])]
    first, second = (np.outer(slice_, slice_) for slice_ in ends)
    assert (first.tolist(), second.tolist()) == ([[1, 3], [3, 9]], [[4, 8], [8, 16]])
    parts = [RoundStatistics((ClientId("a"), ClientId("b")), part, np.zeros((2, 1))) for part in (first, second)]
    updates = np.array([[1, 2], [3, 4]])
    assert RoundStatistics.add_up(parts).gram.tolist() == (updates @ updates.T).tolist() == [[5, 11], [11, 25]]


@pytest.mark.parametrize("slices", [1, 2, 3, 6])
def test_an_open_rounds_statistics_add_up_over_slices(slices: int) -> None:
    gateway, record = opened(slices)
    calls = asked(gateway)
    statistics, work = gateway.statistics.compute(JOB, record)
    assert statistics is not None
    assert statistics.members == ("a", "b")
    assert statistics.gram.tolist() == gram([1, 2])
    tensors = [(values(seed)[:2], values(seed)[2:]) for seed in (1, 2)]
    assert statistics.squares.tolist() == [[sum(v * v for v in part) for part in update] for update in tensors]
    assert (len(calls), work) == (slices, Work(hits=2 * slices))


def test_an_open_rounds_statistics_are_stored_nowhere() -> None:
    gateway, record = opened()
    before = gateway.store.contents
    gateway.statistics.compute(JOB, record)
    assert gateway.store.contents == before
    assert gateway.cache.keys() == []


@pytest.mark.parametrize("members", [True, False])
def test_without_members_or_without_the_wish_there_are_none(members: bool) -> None:
    gateway, record = opened()
    calls = asked(gateway)
    job, record = (without_statistics(), record) if members else (JOB, Round(0, None, ()))
    assert gateway.statistics.compute(job, record) == (None, Work())
    assert gateway.statistics.repair(job, record, None) == (None, Work())
    assert calls == []


def test_shards_in_trouble_are_the_callers_to_hear_of() -> None:
    gateway, record = opened()
    gateway.backends.shards.trouble = Unavailable("no shard")
    with pytest.raises(Unavailable, match="no shard"):
        gateway.statistics.compute(JOB, record)


def test_statistics_of_the_rounds_members_are_taken_as_they_are() -> None:
    gateway, _ = opened()
    record, stored = gateway.commit(0), gateway.stored_statistics(0)
    calls = asked(gateway)
    assert gateway.statistics.repair(JOB, record, stored) == (stored, Work())
    assert calls == []


@pytest.mark.parametrize("stored", ["missing", "of fewer members"])
def test_statistics_that_do_not_fit_are_worked_out_again_and_kept(stored: str) -> None:
    gateway, _ = opened()
    record, statistics = gateway.commit(0), gateway.stored_statistics(0)
    assert statistics is not None
    wrong = None if stored == "missing" else statistics.take([ClientId("b")])
    gateway.store.delete(layout.statistics(HOME, 0))
    other = World.make(gateway.store)
    repaired, work = other.statistics.repair(JOB, record, wrong)
    assert repaired is not None
    assert repaired.gram.tolist() == gram([1, 2])
    assert work.hits == 2
    calls = asked(other)
    remembered = other.rounds.records.read_committed(JOB, [0], "w", Pattern.P2, statistics=True)[0][0][1]
    assert other.statistics.repair(JOB, record, remembered) == (remembered, Work())
    assert calls == []
