"""How rounds are committed: what the record holds, what a request must say, what is left by commits that break off."""

from dataclasses import replace
from typing import Any

import pytest

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError, InvalidParameters, NotFound, StoreUnavailable, Unavailable
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Round
from tests.fakes.clock import FakeTime
from tests.fakes.store import Call, MemoryStore
from tests.gateway.rounds.world import HOME, JOB, NAME, World, gram, without_statistics, world

OPENING, RECORD, STATISTICS = (place(HOME, 0) for place in (layout.opening, layout.round_record, layout.statistics))


def filled(**options: Any) -> World:
    """Return a gateway whose open round 0 has clients a, b and c."""
    gateway = world(**options)
    for client, seed in (("b", 2), ("a", 1), ("c", 3)):
        gateway.put(0, client, seed)
    return gateway


def writes(gateway: World) -> list[Call]:
    """Return the list that a store's writes from now on go to."""
    calls: list[Call] = []
    gateway.store.after = lambda call: calls.append(call) if call.writes else None
    return calls


class TestCommitted:
    """What a committed round is."""

    def test_the_record_holds_what_was_in_the_round_and_in_the_request(self) -> None:
        time = FakeTime()
        gateway = filled(time=time)
        gateway.put_aggregate(0, 7)
        members = tuple(gateway.stored_member(0, client) for client in "abc")
        aggregate = gateway.stored_member(0, AGGREGATE)
        time.sleep(5.0)
        record = gateway.commit(0, metrics={"accuracy": 0.5}, hyperparameters={"rate": 0.1})
        assert record == Round(
            0,
            None,
            members,  # type: ignore[arg-type]
            aggregate,
            {"accuracy": 0.5},
            {"rate": 0.1},
            time.now(),
            base_sha256=None,
        )
        assert gateway.stored_record(0) == record

    def test_mark_then_statistics_then_record(self) -> None:
        gateway = filled()
        calls = writes(gateway)
        gateway.commit(0)
        assert calls == [Call("put", key) for key in (OPENING, STATISTICS, RECORD, RECORD)], (
            "the last settles the record"
        )

    @pytest.mark.parametrize("slices", [1, 2, 3])
    def test_statistics_are_those_of_the_deltas(self, slices: int) -> None:
        gateway = filled(slices=slices)
        gateway.commit(0)
        stored = gateway.stored_statistics(0)
        assert stored is not None
        assert stored.members == ("a", "b", "c")
        assert stored.gram.tolist() == gram([1, 2, 3])

    def test_deltas_are_taken_against_the_base_and_the_aggregate_is_the_last_row(self) -> None:
        gateway = world()
        gateway.put_aggregate(0, 6)
        gateway.commit(0)
        for client, seed in (("a", 1), ("b", 2)):
            gateway.put(1, client, seed)
        gateway.put_aggregate(1, 4)
        assert gateway.commit(1).base == 0
        stored = gateway.stored_statistics(1)
        assert stored is not None
        assert stored.members == ("a", "b", AGGREGATE)
        assert stored.gram.tolist() == gram([1, 2, 4], base=6)

    def test_a_job_without_statistics_asks_no_shard(self) -> None:
        job = without_statistics()
        gateway = world(job)
        gateway.put(0, "a", 1, job=job)
        asked: list[Call] = []
        gateway.backends.shards.before = asked.append
        gateway.commit(0, job)
        assert (asked, gateway.stored_statistics(0)) == ([], None)

    def test_an_empty_round_can_be_committed(self) -> None:
        gateway = world()
        record = gateway.commit(4)
        assert (record.number, record.members, record.aggregate, record.base) == (4, (), None, None)
        assert list(gateway.rounds.catalog.read_index(NAME).committed) == [4]

    def test_shards_are_told(self) -> None:
        gateway = filled(slices=2)
        gateway.commit(0)
        assert gateway.backends.shards.commits == [(0, 0), (1, 0)]

    def test_what_was_committed_is_served_without_the_store(self) -> None:
        gateway = filled()
        record = gateway.commit(0)

        def refuse(call: Call) -> None:
            raise StoreUnavailable(str(call))

        gateway.store.before = refuse
        assert gateway.rounds.records.read_record(JOB, 0) == record


class TestRequest:
    """What a commit request must say, and saying it twice."""

    def test_the_same_request_again_changes_nothing(self) -> None:
        gateway = filled()
        record = gateway.commit(0, metrics={"accuracy": 0.5})
        calls = writes(gateway)
        assert gateway.commit(0, metrics={"accuracy": 0.5}) == record
        assert World.make(gateway.store).commit(0, metrics={"accuracy": 0.5}) == record
        assert calls == []

    @pytest.mark.parametrize("other", [{"metrics": {"accuracy": 0.75}}, {"hyperparameters": {"rate": 0.1}}, {}])
    def test_another_request_conflicts(self, other: dict[str, Any]) -> None:
        gateway = filled()
        gateway.commit(0, metrics={"accuracy": 0.5})
        with pytest.raises(Conflict, match="round 0 is committed already, with other metrics or hyperparameters"):
            gateway.commit(0, **other)

    @pytest.mark.parametrize("bad", [{"metrics": {"x": float("nan")}}, {"hyperparameters": {"x": "\ud800"}}])
    def test_what_json_cannot_say_leaves_the_round_open(self, bad: dict[str, Any]) -> None:
        gateway = filled()
        calls = writes(gateway)
        with pytest.raises(InvalidParameters):
            gateway.commit(0, **bad)
        assert calls == []

    def test_participants_must_have_delivered(self) -> None:
        gateway = filled()
        calls = writes(gateway)
        with pytest.raises(NotFound, match="participant in round 0 'd' does not exist"):
            gateway.commit(0, participants=["a", "d"])
        assert calls == []
        assert len(gateway.commit(0, participants=["a", "c"]).members) == 3


class TestTrouble:
    """Commits that break off, and shards that fail."""

    @pytest.mark.parametrize("key", [OPENING, STATISTICS, RECORD])
    def test_a_commit_that_broke_off_is_done_by_the_next(self, key: str) -> None:
        gateway = filled()

        def fail(call: Call) -> None:
            if call == Call("put", key):
                raise StoreUnavailable("the store is away")

        gateway.store.before = fail
        with pytest.raises(StoreUnavailable):
            gateway.commit(0)
        gateway.store.before = lambda call: None
        assert gateway.stored_record(0) is None
        assert [member.client for member in World.make(gateway.store).commit(0).members] == ["a", "b", "c"]

    def test_a_record_whose_answer_got_lost_is_found_by_the_next_attempt(self) -> None:
        gateway = filled()

        def lose(call: Call) -> None:
            if call == Call("put", RECORD):
                gateway.store.after = lambda call: None
                raise StoreUnavailable("the answer got lost")

        gateway.store.after = lose
        with pytest.raises(StoreUnavailable):
            gateway.commit(0)
        assert gateway.commit(0) == gateway.stored_record(0)

    @pytest.mark.parametrize("trouble", [Unavailable("no shard"), InvalidParameters("another schema")])
    def test_without_statistics_there_is_no_commit(self, trouble: FLStoreError) -> None:
        gateway = filled()
        gateway.backends.shards.trouble = trouble
        with pytest.raises(type(trouble)):
            gateway.commit(0)
        assert gateway.stored_record(0) is None
        gateway.backends.shards.trouble = None
        assert gateway.commit(0).committed

    def test_shards_that_cannot_be_told_hinder_no_commit(self) -> None:
        job = without_statistics()
        gateway = world(job)
        gateway.put(0, "a", 1, job=job)
        gateway.backends.shards.trouble = Unavailable("no shard")
        assert gateway.commit(0, job).committed
        gateway.backends.placement.trouble = Unavailable("no controller")
        assert gateway.commit(1, job).committed

    def test_the_loser_of_a_race_answers_with_the_winners_record(self) -> None:
        gateway = filled()
        other = World.make(gateway.store)
        winners: list[Round] = []

        def win(call: Call) -> None:
            if call == Call("put", RECORD):
                gateway.store.before = lambda call: None
                winners.append(other.commit(0))

        gateway.store.before = win
        assert [gateway.commit(0)] == winners

    def test_an_update_that_vanished_fails_a_commit_only_if_nobody_committed(self) -> None:
        gateway = filled()

        def lose_update(call: Call) -> None:
            gateway.store.delete(layout.tensors(HOME, 0, ClientId("c"), "u3"))

        gateway.backends.shards.before = lose_update
        with pytest.raises(NotFound, match="the store has no 'c' in round 0"):
            gateway.commit(0)


def test_an_empty_round_is_committed_only_where_that_is_asked_for() -> None:
    gateway = world()
    gateway.put(1, "a", 1)
    before = gateway.store.contents
    with pytest.raises(NotFound, match=r"round 11 of job 'job' has neither .* \(open rounds: 1\); .* allow it"):
        gateway.commit(11, allow_empty=False)
    assert gateway.store.contents == before, "it leaves nothing: not an opening, not a mark"
    assert gateway.commit(1, allow_empty=False).by_client.keys() == {"a"}
    assert gateway.commit(12, allow_empty=True).members == ()
    assert gateway.commit(12, allow_empty=False).members == (), "a repeat is answered as the first was"


def test_a_round_with_an_aggregate_alone_is_not_empty_and_one_that_was_taken_back_is() -> None:
    gateway = world()
    gateway.put_aggregate(0, 1)
    assert gateway.commit(0, allow_empty=False).aggregate
    gateway.put(1, "a", 1)
    gateway.drop(1, "a")
    with pytest.raises(NotFound, match="has neither updates nor an aggregate"):
        gateway.commit(1, allow_empty=False)


def test_a_commit_that_opens_a_round_of_a_deleted_job_leaves_nothing() -> None:
    """The job is deleted before the round is opened, and the commit fails before it comes to look whether it stands."""
    store = MemoryStore()
    here, there = World.make(store), World.make(store)
    job = here.jobs.create(replace(JOB, generation=""))[0].job
    here.put(0, "a", 1, job=job)

    def delete(call: Call) -> None:
        if call == Call("put", layout.opening(job.home, 1)):
            store.before = lambda _: None
            there.jobs.delete(NAME)
            here.rounds.catalog.forget(NAME)

    store.before = delete
    with pytest.raises(NotFound):
        here.commit(1, job)
    assert [key for key in store.contents if key.startswith(f"{job.home}/")] == []
