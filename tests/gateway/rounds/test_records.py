"""Records and statistics as read through the cache."""

import pytest

from flstore_core import layout
from flstore_core.cache import Cache
from flstore_core.errors import InsufficientCapacity, NotFound
from flstore_core.ids import AGGREGATE, METADATA, STATISTICS, ClientId, client_id
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.records import Round, to_bytes
from flstore_core.shard.protocol import MemberRef
from flstore_core.statistics import RoundStatistics
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, World, gram, world


def committed(rounds: int = 2) -> tuple[World, World]:
    """Return the gateway through which rounds were committed, and another."""
    gateway = world()
    for number in range(rounds):
        for client, seed in (("a", 1 + number), ("b", 2 + number)):
            gateway.put(number, client, seed)
        gateway.commit(number)
    return gateway, World.make(gateway.store)


def read(gateway: World, *numbers: int, statistics: bool) -> list[tuple[Round, RoundStatistics | None]]:
    return gateway.rounds.records.read_committed(JOB, numbers, "w", Pattern.P2, statistics=statistics)[0]


def test_rounds_come_back_in_the_order_asked_for() -> None:
    _, gateway = committed()
    (first, first_statistics), (second, _) = read(gateway, 1, 0, statistics=True)
    assert (first.number, second.number) == (1, 0)
    assert first_statistics is not None
    assert first_statistics.gram.tolist() == gram([2, 3])


def test_statistics_are_read_only_if_asked_for() -> None:
    _, gateway = committed(1)
    calls: list[Call] = []
    gateway.store.before = calls.append
    assert read(gateway, 0, statistics=False)[0][1] is None
    assert calls == [Call("get_with_info", layout.round_record(HOME, 0))]


def test_what_was_read_once_is_not_read_again() -> None:
    _, gateway = committed(1)
    read(gateway, 0, statistics=True)
    calls: list[Call] = []
    gateway.store.before = calls.append
    read(gateway, 0, statistics=True)
    gateway.rounds.records.read_record(JOB, 0)
    assert calls == []


def test_work_counts_documents_and_their_bytes() -> None:
    _, gateway = committed()
    sizes = {key: len(content) for key, content in gateway.store.contents.items()}
    records = sizes[layout.round_record(HOME, 0)], sizes[layout.round_record(HOME, 1)]
    statistics = sizes[layout.statistics(HOME, 0)]
    _, work = gateway.rounds.records.read_committed(JOB, [0], "w", Pattern.P2, statistics=True)
    assert (work.hits, work.misses) == (0, 2)
    assert work.bytes_touched == work.bytes_fetched == records[0] + statistics
    _, work = gateway.rounds.records.read_committed(JOB, [0, 1], "w", Pattern.P4, statistics=False)
    assert (work.hits, work.misses) == (1, 1)
    assert (work.bytes_touched, work.bytes_fetched) == (sum(records), records[1])


def test_each_read_is_one_request_of_the_cache_and_looking_a_record_up_is_none() -> None:
    _, gateway = committed()
    gateway.rounds.records.read_record(JOB, 1)
    read(gateway, 0, statistics=True)
    read(gateway, 0, 1, statistics=False)
    overall = gateway.cache.snapshot()[Pattern.P2.value]
    assert (overall["requests"], overall["hits"], overall["keys"], overall["key_hits"]) == (2, 1, 4, 2)


def test_record_and_statistics_are_cached_under_names_of_their_own() -> None:
    gateway, _ = committed(1)
    assert set(gateway.cache.keys()) == {Key(HOME, 0, METADATA), Key(HOME, 0, STATISTICS)}
    for name in (METADATA, STATISTICS):
        with pytest.raises(Exception, match="name"):
            client_id(name)


def test_a_round_without_statistics_is_remembered_as_such() -> None:
    gateway = world()
    gateway.commit(0)
    other = World.make(gateway.store)
    assert [statistics for _, statistics in read(other, 0, statistics=True)] == [None]
    calls: list[Call] = []
    other.store.before = calls.append
    assert [statistics for _, statistics in read(other, 0, statistics=True)] == [None]
    assert calls == []


def test_a_round_that_is_not_committed_has_no_record() -> None:
    gateway = world()
    gateway.put(0, "a", 1)
    assert gateway.rounds.records.read_record(JOB, 0) is None
    with pytest.raises(NotFound):
        read(gateway, 0, statistics=False)
    gateway.commit(0)
    assert gateway.rounds.records.read_record(JOB, 0) is not None


def test_a_budget_holds_the_newest() -> None:
    gateway = world(budget=600)
    for number in range(4):
        gateway.put(number, "a", 1)
        gateway.commit(number)
    assert gateway.cache.snapshot()["used_bytes"] <= 600
    held = set(gateway.cache.keys())
    assert Key(HOME, 3, METADATA) in held
    assert Key(HOME, 0, METADATA) not in held
    assert [record.number for record, _ in read(gateway, 0, 1, 2, 3, statistics=False)] == [0, 1, 2, 3]


def test_a_record_beyond_the_whole_budget_says_so() -> None:
    _, gateway = committed(1)
    small = World.make(gateway.store, budget=10)
    with pytest.raises(InsufficientCapacity, match="the cache's whole budget is 10"):
        small.rounds.records.read_record(JOB, 0)


def test_members_are_read_by_client_whatever_else_lies_there() -> None:
    gateway = world()
    for client in ("b", "a.json", "a"):
        gateway.put(0, client, 1)
    gateway.store.put(layout.tensors(HOME, 0, ClientId("z")), b"without a record")
    assert [member.client for member in gateway.rounds.records.read_members(JOB, 0)] == ["a", "a.json", "b"]


def test_a_member_that_goes_while_members_are_read_is_left_out() -> None:
    gateway = world()
    for client in ("a", "b"):
        gateway.put(0, client, 1)
    key = layout.member(HOME, 0, ClientId("a"))

    def remove(call: Call) -> None:
        if call == Call("get_with_info", key):
            gateway.store.before = lambda call: None
            gateway.store.delete(key)

    other = World.make(gateway.store)
    gateway.store.before = remove
    assert [member.client for member in other.rounds.records.read_members(JOB, 0)] == ["b"]


@pytest.mark.parametrize("commit", [False, True], ids=["open", "committed"])
def test_an_aggregate_is_located_in_open_and_committed_rounds(commit: bool) -> None:
    gateway = world()
    gateway.put_aggregate(0, 5)
    if commit:
        gateway.commit(0)
    aggregate = gateway.stored_member(0, AGGREGATE)
    assert aggregate is not None
    assert gateway.rounds.records.locate_aggregate(JOB, 0) == MemberRef.of(0, aggregate)
    assert gateway.rounds.records.locate_base(JOB, Round(1, 0, ())) == MemberRef.of(0, aggregate)
    assert gateway.rounds.records.locate_base(JOB, Round(1, None, ())) is None


def test_a_round_without_an_aggregate_says_so() -> None:
    gateway, _ = committed(1)
    for number in (0, 7):
        with pytest.raises(NotFound, match=f"round {number} of job 'job' has no aggregate"):
            gateway.rounds.records.locate_aggregate(JOB, number)


def test_records_of_equal_rounds_take_equal_room() -> None:
    """What is remembered at commit takes the room that it would take when read back."""
    gateway, other = committed(1)
    read(other, 0, statistics=False)
    record = gateway.stored_record(0)
    assert record is not None
    for cache in (gateway.cache, other.cache):
        assert isinstance(cache, Cache)
        document = cache.get(Key(HOME, 0, METADATA))
        assert document is not None
        assert document.nbytes == len(to_bytes(record.to_json()))


@pytest.mark.parametrize("read", ["record", "committed"])
def test_what_is_forgotten_while_it_is_read_is_not_cached(read: str) -> None:
    """A reader stalls between the store and the cache, while another gateway's erasure is noticed."""
    gateway = world()
    gateway.put(0, "a", 1)
    gateway.put(0, "b", 2)
    gateway.commit(0)
    other = World.make(gateway.store)
    records, key = other.rounds.records, layout.round_record(HOME, 0)
    stalled: list[Call] = []

    def erase_meanwhile(call: Call) -> None:
        if call == Call("get_with_info", key) and not stalled:
            stalled.append(call)
            gateway.erase("a")
            records.forget(HOME)

    gateway.store.after = erase_meanwhile
    if read == "record":
        records.read_record(JOB, 0)
    else:
        records.read_committed(JOB, [0], "metrics", Pattern.P4, statistics=True)
    assert stalled
    record = records.read_record(JOB, 0)
    assert record is not None
    assert record.by_client.keys() == {"b"}
