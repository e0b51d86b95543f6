"""Which rounds a job has, as one gateway remembers it while others write."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Member, Round
from services.common.timing import RealTime
from services.gateway.rounds import index as index_module
from services.gateway.rounds.index import REFRESH_WAIT_SECONDS, JobIndex, newest_before
from services.gateway.threads import Pools
from tests.fakes.clock import FakeTime
from tests.fakes.executors import HeldExecutor, InlineExecutor
from tests.fakes.store import Call, MemoryStore
from tests.gateway.rounds.world import HOME, JOB, NAME, SCHEMA, World, world

REFRESH_SECONDS = 10.0


def member(client: str) -> Member:
    return Member(ClientId(client), "0" * 64, 1, 0)


def record(number: int, clients: str = "", aggregate: bool = False) -> Round:
    return Round(number, None, tuple(map(member, clients)), member("aggregate") if aggregate else None)


@contextmanager
def calls_of(store: MemoryStore) -> Iterator[list[Call]]:
    """Collect the calls that a store gets."""
    calls: list[Call] = []
    store.before = calls.append
    try:
        yield calls
    finally:
        store.before = lambda call: None


def unreachable(call: Call) -> None:
    raise StoreUnavailable("the store is away")


class TestIndex:
    """A job and its rounds as a value."""

    def test_rounds_come_in_by_client_and_in_order(self) -> None:
        index = JobIndex(JOB).with_committed([record(3, "ab", aggregate=True), record(1, "b")])
        index = index.with_committed([record(2, "a", aggregate=True)])
        assert list(index.committed) == [1, 2, 3]
        assert list(index.with_aggregate) == [2, 3]
        assert {client: list(numbers) for client, numbers in index.participations.items()} == {"a": [2, 3], "b": [1, 3]}
        assert list(index.rounds_of("b")) == [1, 3]
        assert index.clients_by_round() == {1: 1, 2: 1, 3: 2}

    def test_a_committed_round_is_no_longer_open(self) -> None:
        index = JobIndex(JOB).with_opened(4).with_opened(2).with_opened(4)
        assert list(index.open) == [2, 4]
        index = index.with_committed([record(2)])
        assert (list(index.open), list(index.committed)) == ([4], [2])
        assert index.with_opened(2) is index

    def test_what_is_known_as_committed_stays_as_it_is(self) -> None:
        index = JobIndex(JOB).with_committed([record(1, "a")])
        assert index.with_committed([record(1, "ab")]) is index

    def test_an_index_never_changes(self) -> None:
        before = JobIndex(JOB).with_committed([record(1, "a")])
        numbers = before.rounds_of("a")
        after = before.with_committed([record(2, "a")]).with_opened(3)
        assert list(numbers) == list(before.rounds_of("a")) == list(before.committed) == [1]
        assert list(after.rounds_of("a")) == [1, 2]

    @given(
        st.lists(st.tuples(st.integers(0, 9), st.sets(st.sampled_from("abc"))), unique_by=lambda pair: pair[0]),
        st.randoms(),
    )
    def test_the_order_in_which_rounds_come_in_is_of_no_account(
        self, rounds: list[tuple[int, set[str]]], chance: Random
    ) -> None:
        records = [record(number, "".join(sorted(clients)), number % 2 == 0) for number, clients in rounds]
        at_once = JobIndex(JOB).with_committed(records)
        chance.shuffle(records)
        one_by_one = JobIndex(JOB)
        for each in records:
            one_by_one = one_by_one.with_committed([each])
        for index in (at_once, one_by_one):
            assert list(index.committed) == sorted(number for number, _ in rounds)
            assert list(index.with_aggregate) == sorted(number for number, _ in rounds if number % 2 == 0)
            for client in "abc":
                expected = sorted(number for number, clients in rounds if client in clients)
                assert list(index.participations.get(ClientId(client), [])) == expected

    def test_an_unknown_client_is_told_with_the_nearest(self) -> None:
        index = JobIndex(JOB).with_committed([Round(0, None, (member("client-a"),))])
        with pytest.raises(NotFound, match="client 'client-b' does not exist; nearest: client-a"):
            index.rounds_of("client-b")

    @pytest.mark.parametrize(
        ("job", "erasures", "outdated"),
        [
            (JOB, frozenset("x"), False),
            (replace(JOB, created_at=2.0), frozenset("x"), True),
            (replace(JOB, replicas=2), frozenset("x"), True),
            (JOB, frozenset("xy"), True),
            (JOB, frozenset(), True),
        ],
    )
    def test_another_job_or_another_erasure_outdates_it(
        self, job: Job, erasures: frozenset[str], outdated: bool
    ) -> None:
        assert JobIndex(JOB, erasures=frozenset("x")).is_outdated(job, erasures) is outdated

    @pytest.mark.parametrize(("limit", "newest"), [(0, None), (1, None), (2, 1), (5, 4), (9, 7)])
    def test_the_newest_before_a_round(self, limit: int, newest: int | None) -> None:
        assert newest_before([1, 4, 7], limit) == newest


class TestReading:
    """A gateway's first look, and the next ones."""

    def test_the_first_look_finds_what_another_gateway_left(self) -> None:
        other = world()
        other.put(0, "a", 1)
        other.commit(0)
        other.put(1, "b", 2)
        index = World.make(other.store).rounds.catalog.read_index(NAME)
        assert (list(index.committed), list(index.open), index.job) == ([0], [1], JOB)
        assert index.participations == {"a": [0]}

    def test_ten_callers_take_one_first_look(self) -> None:
        """The first caller is held up in the store until all others wait for it."""
        writer = world()
        for number in range(20):
            writer.put(number, "c", number)
            writer.commit(number)
        time = RealTime()
        reader = World.make(writer.store, time)
        under_way, go_on = Event(), Event()

        def hold_up(call: Call) -> None:
            if call == Call("get", layout.job(NAME)):
                assert not under_way.is_set(), "a second look began"
                under_way.set()
                assert go_on.wait(60.0)

        with ThreadPoolExecutor(10) as callers, calls_of(writer.store) as calls:
            collect = writer.store.before

            def before(call: Call) -> None:
                collect(call)
                hold_up(call)

            writer.store.before = before
            looks = [callers.submit(reader.rounds.catalog.read_index, NAME)]
            assert under_way.wait(60.0)
            looks += [callers.submit(reader.rounds.catalog.read_index, NAME) for _ in range(9)]
            go_on.set()
            indices = [look.result(60.0) for look in looks]
        assert all(list(index.committed) == list(range(20)) for index in indices)
        assert len([call for call in calls if call.method == "get_with_info" and call.key.endswith("round.json")]) == 20

    def test_a_job_that_appears_during_somebody_s_first_look_is_found(self) -> None:
        """The look that a caller waits for has read the store before the job was there."""
        gateway = world()
        look: Future[JobIndex] = Future()
        look.set_exception(NotFound("no such job"))
        gateway.rounds.catalog._first_looks[NAME] = look
        assert gateway.rounds.catalog.read_index(NAME).job == JOB
        assert gateway.rounds.catalog.refresh(NAME).job == JOB

    def test_who_asks_for_news_during_somebody_s_first_look_looks_once_more(self) -> None:
        gateway = world()
        look: Future[JobIndex] = Future()
        look.set_result(JobIndex(JOB))
        gateway.rounds.catalog._first_looks[NAME] = look
        World.make(gateway.store).put(0, "c", 1)
        assert list(gateway.rounds.catalog.read_index(NAME).open) == []
        assert list(gateway.rounds.catalog.refresh(NAME).open) == [0]

    def test_records_are_held_a_few_at_a_time(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(index_module, "RECORDS_AT_ONCE", 3)
        writer = world()
        for number in range(8):
            writer.put(number, "ab"[number % 2], number)
            if number != 5:
                writer.commit(number)
        index = World.make(writer.store).rounds.catalog.read_index(NAME)
        assert (list(index.committed), list(index.open)) == ([0, 1, 2, 3, 4, 6, 7], [5])
        assert (list(index.rounds_of("a")), list(index.rounds_of("b"))) == ([0, 2, 4, 6], [1, 3, 7])

    def test_within_the_refresh_time_the_store_is_not_asked(self) -> None:
        gateway = world(time=(time := FakeTime()), refresh_seconds=REFRESH_SECONDS)
        catalog = gateway.rounds.catalog
        first = catalog.read_index(NAME)
        time.sleep(REFRESH_SECONDS)
        with calls_of(gateway.store) as calls:
            assert catalog.read_index(NAME) is first
            assert catalog.read_job(NAME) == JOB
            assert not calls
            time.sleep(0.1)
            catalog.read_index(NAME)
            assert calls

    def test_a_second_look_reads_new_rounds_only(self) -> None:
        gateway = world()
        other = World.make(gateway.store)
        for number in range(3):
            other.put(number, "a", 1)
            other.commit(number)
        gateway.rounds.catalog.read_index(NAME)
        other.put(3, "a", 1)
        other.commit(3)
        with calls_of(gateway.store) as calls:
            index = gateway.rounds.catalog.refresh(NAME)
        assert list(index.committed) == [0, 1, 2, 3]
        assert [call.key for call in calls if call.key.endswith("round.json")] == [layout.round_record(HOME, 3)]

    def test_what_another_gateway_committed_shows_at_the_next_look(self) -> None:
        gateway = world(time=(time := FakeTime()), refresh_seconds=REFRESH_SECONDS)
        other = World.make(gateway.store, time)
        gateway.rounds.catalog.read_index(NAME)
        other.put(0, "a", 1)
        other.commit(0)
        assert list(gateway.rounds.catalog.read_index(NAME).committed) == []
        time.sleep(REFRESH_SECONDS + 0.1)
        assert list(gateway.rounds.catalog.read_index(NAME).committed) == [0]

    def test_the_example_of_the_module(self) -> None:
        time = FakeTime()
        a = world(time=time, refresh_seconds=1.0)
        b = World.make(a.store, time, refresh_seconds=1.0)
        for number in range(8):
            a.put(number, "c", 1)
        for number in range(7):
            a.commit(number)
        b.rounds.catalog.read_index(NAME)
        time.sleep(0.4)
        a.commit(7)
        time.sleep(0.1)
        assert list(b.rounds.catalog.read_index(NAME).committed) == list(range(7))
        assert b.rounds.openings.read_round(JOB, 7).committed
        time.sleep(0.6)
        assert list(b.rounds.catalog.read_index(NAME).committed) == list(range(8))

    def test_what_went_through_this_gateway_shows_at_once(self) -> None:
        gateway = world()
        catalog = gateway.rounds.catalog
        catalog.read_index(NAME)
        gateway.put(2, "a", 1)
        assert list(catalog.read_index(NAME).open) == [2]
        gateway.commit(2)
        index = catalog.read_index(NAME)
        assert (list(index.open), list(index.committed), list(index.rounds_of("a"))) == ([], [2], [2])

    def test_jobs_that_nobody_looked_at_are_not_noted(self) -> None:
        catalog = world().rounds.catalog
        catalog.note_opening(NAME, 1)
        catalog.note_commit(NAME, record(1))
        assert list(catalog.read_index(NAME).committed) == list(catalog.read_index(NAME).open) == []

    def test_folders_without_an_opening_or_of_another_kind_are_no_rounds(self) -> None:
        gateway = world()
        gateway.store.put(layout.tensors(HOME, 5, ClientId("left")), b"by a deletion that broke off")
        gateway.store.put(layout.rounds_prefix(HOME) + "notes/x", b"")
        index = gateway.rounds.catalog.read_index(NAME)
        assert list(index.open) == list(index.committed) == []

    def test_a_missing_job_is_told(self) -> None:
        with pytest.raises(NotFound, match="job 'jab' does not exist"):
            world().rounds.catalog.read_job(JobId("jab"))

    def test_names_are_listed_and_read_as_far_as_they_are_jobs(self) -> None:
        gateway = world()
        gateway.store.put("jobs/gone/rounds/00000000/open.json", b"{}")
        catalog = gateway.rounds.catalog
        assert catalog.list_names() == ["gone", "job"]
        assert [index.job for index in catalog.read_indices(catalog.list_names())] == [JOB]


class TestCoherence:
    """What makes a gateway drop what it remembers."""

    def test_a_job_made_anew_shares_nothing_with_the_old(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        gateway.commit(0)
        other = World.make(gateway.store)
        other.jobs.delete(NAME)
        other.jobs.create(Job(NAME, SCHEMA))
        index = gateway.rounds.catalog.refresh(NAME)
        assert (list(index.committed), index.participations) == ([], {})
        assert gateway.cache.keys() == []

    def test_a_deleted_job_is_dropped(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        gateway.commit(0)
        World.make(gateway.store).jobs.delete(NAME)
        with pytest.raises(NotFound):
            gateway.rounds.catalog.refresh(NAME)
        assert gateway.cache.keys() == []
        with pytest.raises(NotFound):
            gateway.rounds.catalog.read_index(NAME)

    def test_an_erasure_through_another_gateway_drops_records(self) -> None:
        gateway = world()
        for client, seed in (("a", 1), ("b", 2)):
            gateway.put(0, client, seed)
        gateway.commit(0)
        World.make(gateway.store).erase("a")
        index = gateway.rounds.catalog.refresh(NAME)
        assert list(index.participations) == ["b"]
        remembered = gateway.rounds.records.read_record(JOB, 0)
        assert remembered is not None
        assert list(remembered.by_client) == ["b"]

    def test_a_round_opened_during_a_look_is_kept(self) -> None:
        gateway = world()
        catalog = gateway.rounds.catalog
        catalog.read_index(NAME)

        def open_meanwhile(call: Call) -> None:
            if call.method == "folders":
                gateway.store.after = lambda call: None
                gateway.put(7, "a", 1)

        gateway.store.after = open_meanwhile
        assert list(catalog.refresh(NAME).open) == [7]

    def test_a_round_committed_during_a_look_is_kept(self) -> None:
        gateway = world()
        catalog = gateway.rounds.catalog
        gateway.put(7, "a", 1)

        def commit_meanwhile(call: Call) -> None:
            if call.method == "stat":
                gateway.store.after = lambda call: None
                gateway.commit(7)

        gateway.store.after = commit_meanwhile
        index = catalog.refresh(NAME)
        assert (list(index.open), list(index.committed), list(index.rounds_of("a"))) == ([], [7], [7])

    def test_a_job_made_anew_during_a_look_is_not_mixed_with_the_old(self) -> None:
        gateway = world()
        gateway.put(0, "a", 1)
        gateway.commit(0)
        catalog = gateway.rounds.catalog

        def replace_meanwhile(call: Call) -> None:
            if call.method == "folders":
                gateway.store.after = lambda call: None
                gateway.jobs.delete(NAME)
                gateway.jobs.create(Job(NAME, SCHEMA))

        gateway.store.after = replace_meanwhile
        catalog.refresh(NAME)
        index = catalog.refresh(NAME)
        assert (index.job.created_at, list(index.committed)) == (gateway.time.now(), [])


class TestWaiting:
    """Readers wait for news a little, and go without while the store is away."""

    def test_who_has_waited_enough_is_answered_from_memory(self) -> None:
        time, inline = FakeTime(), InlineExecutor()
        refreshers = HeldExecutor(submitted=lambda: time.sleep(REFRESH_WAIT_SECONDS))
        pools = Pools(inline, refreshers, inline, inline, inline, inline)
        gateway = world(time=time, pools=pools, refresh_seconds=REFRESH_SECONDS)
        catalog = gateway.rounds.catalog
        first = catalog.read_index(NAME)
        World.make(gateway.store).put(4, "a", 1)
        time.sleep(REFRESH_SECONDS + 1)
        assert catalog.read_index(NAME) is first
        assert catalog.read_index(NAME) is first
        assert len(refreshers) == 1, "readers join the refresh that is under way"
        refreshers.run_all()
        assert list(catalog.read_index(NAME).open) == [4]

    def test_while_the_store_is_away_the_index_goes_on_and_the_store_is_left_in_peace(self) -> None:
        gateway = world(time=(time := FakeTime()), refresh_seconds=REFRESH_SECONDS)
        catalog = gateway.rounds.catalog
        gateway.put(0, "a", 1)
        time.sleep(REFRESH_SECONDS + 1)
        gateway.store.before = unreachable
        assert list(catalog.read_index(NAME).open) == [0]
        with calls_of(gateway.store) as calls:
            catalog.read_index(NAME)
        assert not calls

    def test_a_round_opened_while_the_store_goes_away_is_kept(self) -> None:
        gateway = world(time=(time := FakeTime()), refresh_seconds=REFRESH_SECONDS)
        catalog = gateway.rounds.catalog
        catalog.read_index(NAME)
        time.sleep(REFRESH_SECONDS + 1)

        def open_and_fail(call: Call) -> None:
            catalog.note_opening(NAME, 9)
            raise StoreUnavailable("the store is away")

        gateway.store.before = open_and_fail
        catalog.read_index(NAME)
        assert list(catalog.read_index(NAME).open) == [9]

    def test_a_first_look_at_a_store_that_is_away_says_so(self) -> None:
        gateway = world()
        gateway.store.before = unreachable
        with pytest.raises(StoreUnavailable):
            gateway.rounds.catalog.read_index(NAME)
