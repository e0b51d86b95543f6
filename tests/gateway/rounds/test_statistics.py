"""Statistics that shards work out: of open rounds, and in place of stored ones that do not fit."""

from dataclasses import replace

import numpy as np
import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, StoreFull, Unavailable
from flstore_core.ids import ClientId
from flstore_core.patterns import Pattern
from flstore_core.records import Round
from flstore_core.shard.protocol import Work
from flstore_core.statistics import RoundStatistics
from services.gateway.rounds.removal import take_out_of_statistics
from services.gateway.rounds.statistics import Fitting
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, NAME, World, body, gram, values, without_statistics, world


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
    assert gateway.statistics.repair(job, record, None) == Fitting(record, None)
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
    assert gateway.statistics.repair(JOB, record, stored) == Fitting(record, stored)
    assert calls == []


def damaged(gateway: World, damage: str) -> bytes | None:
    """Return what lies in place of the statistics of the committed round 0; None if nothing does."""
    statistics = gateway.stored_statistics(0)
    assert statistics is not None
    whole = statistics.to_bytes()
    others = replace(statistics, gram=statistics.gram + 1, hashes=(statistics.hashes[1], statistics.hashes[0]))
    return {
        "missing": None,
        "empty": b"",
        "cut off": whole[:-1],
        "no statistics": body(1),
        "of another shape": replace(statistics, gram=statistics.gram[:1]).to_bytes(),
        "of fewer members": statistics.take([ClientId("b")]).to_bytes(),
        "of other bytes": others.to_bytes(),
    }[damage]


DAMAGES = ["missing", "empty", "cut off", "no statistics", "of another shape", "of fewer members", "of other bytes"]


def ask(gateway: World) -> Fitting:
    """Return what a question about the committed round 0 works with."""
    pairs, _ = gateway.rounds.records.read_committed(JOB, [0], "w", Pattern.P2, statistics=True)
    return gateway.statistics.repair(JOB, *pairs[0])


@pytest.mark.parametrize("damage", DAMAGES)
def test_statistics_that_do_not_fit_are_computed_once_for_all_gateways(damage: str) -> None:
    gateway, _ = opened()
    gateway.commit(0)
    wrong = damaged(gateway, damage)
    gateway.store.delete(layout.statistics(HOME, 0))
    if wrong is not None:
        gateway.store.put(layout.statistics(HOME, 0), wrong)
    first = ask(World.make(gateway.store))
    assert first.statistics is not None
    assert first.statistics.gram.tolist() == gram([1, 2])
    assert (first.computed, first.work.hits) == (True, 2)
    fresh = World.make(gateway.store)
    calls = asked(fresh)
    again = ask(fresh)
    assert again.statistics is not None
    assert again.statistics.gram.tolist() == gram([1, 2])
    assert (again.computed, calls) == (False, [])


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_client_is_erased_whatever_the_statistics_are(damage: str) -> None:
    gateway, _ = opened()
    gateway.commit(0)
    wrong = damaged(gateway, damage)
    gateway.store.delete(layout.statistics(HOME, 0))
    if wrong is not None:
        gateway.store.put(layout.statistics(HOME, 0), wrong)
    gateway.erase("a")
    fitting = ask(World.make(gateway.store))
    assert fitting.statistics is not None
    assert (fitting.statistics.members, fitting.statistics.gram.tolist()) == (("b",), gram([2]))


@pytest.mark.parametrize("broken_off", [False, True])
def test_a_repair_brings_no_erased_client_back(broken_off: bool) -> None:
    gateway, _ = opened()
    gateway.commit(0)
    if broken_off:  # an erasure has taken the row out, and the client is still in the round's record
        take_out_of_statistics(gateway.store, JOB, 0, ClientId("a"))
    else:
        gateway.store.delete(layout.statistics(HOME, 0))
    other = World.make(gateway.store)

    def erase_meanwhile(call: Call) -> None:
        other.backends.shards.before = lambda call: None
        gateway.erase("a")

    other.backends.shards.before = erase_meanwhile
    fitting = ask(other)
    assert fitting.statistics is not None
    assert [member.client for member in fitting.record.members] == ["b"]
    assert (fitting.statistics.members, fitting.statistics.gram.tolist()) == (("b",), gram([2]))
    stored = gateway.stored_statistics(0)
    assert stored is not None
    assert stored.members == ("b",)


def test_of_two_repairs_at_once_the_second_takes_what_the_first_has_stored() -> None:
    gateway, _ = opened()
    gateway.commit(0)
    gateway.store.delete(layout.statistics(HOME, 0))
    one, two = World.make(gateway.store), World.make(gateway.store)
    fittings: list[Fitting] = []

    def repair_first(call: Call) -> None:
        one.backends.shards.before = lambda call: None
        fittings.append(ask(two))

    one.backends.shards.before = repair_first
    fittings.append(ask(one))
    assert [fitting.computed for fitting in fittings] == [True, False]
    assert [fitting.statistics.gram.tolist() for fitting in fittings if fitting.statistics] == [gram([1, 2])] * 2


def test_a_store_that_takes_nothing_still_has_questions_answered() -> None:
    gateway, _ = opened()
    gateway.commit(0)
    gateway.store.delete(layout.statistics(HOME, 0))

    def refuse(call: Call) -> None:
        if call.method == "put":
            raise StoreFull("no space left")

    gateway.cache.discard_job(HOME)
    gateway.store.before = refuse
    assert ask(gateway).computed
    assert gateway.stored_statistics(0) is None
    assert not ask(gateway).computed, "it is kept in memory"


def test_a_repair_leaves_nothing_of_a_job_that_is_deleted_meanwhile() -> None:
    gateway, _ = opened()
    gateway.commit(0)
    gateway.store.delete(layout.statistics(HOME, 0))
    other = World.make(gateway.store)
    other.backends.shards.before = lambda call: gateway.jobs.delete(NAME)
    with pytest.raises(NotFound):
        ask(other)
    assert list(gateway.store.contents) == [layout.job(NAME)]


def test_shards_that_cannot_compute_a_repair_are_the_callers_to_hear_of() -> None:
    gateway, _ = opened()
    gateway.commit(0)
    gateway.store.delete(layout.statistics(HOME, 0))
    gateway.cache.discard_job(HOME)
    gateway.backends.shards.trouble = NotFound("the tensors are gone")
    with pytest.raises(NotFound, match="the tensors are gone"):
        ask(gateway)
