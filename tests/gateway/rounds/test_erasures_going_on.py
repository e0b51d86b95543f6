"""An erasure that broke off anywhere is finished by another gateway, without anybody asking, and without harm."""

import json
import re

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.ids import ClientId
from flstore_core.records import REMOVED
from services.gateway.rounds.erase import is_about
from tests.fakes.store import Call
from tests.gateway.rounds.test_erase import settled, tombstones
from tests.gateway.rounds.world import HOME, JOB, NAME, World, world

WRITES = 16
"""How many calls of an erasure of `a` change the store."""


def break_off(gateway: World, writes: int, client: str = "a") -> None:
    """Begin an erasure whose gateway dies before its write of that number."""
    done = 0

    def crash(call: Call) -> None:
        nonlocal done
        done += call.writes
        if done > writes:
            raise StoreUnavailable("the gateway is dead")

    gateway.store.before = crash
    with pytest.raises(StoreUnavailable):
        gateway.erase(client)
    gateway.store.before = lambda call: None


def go_on(gateway: World) -> World:
    """Have another gateway look twice, and return it."""
    other = World.make(gateway.store, gateway.time)
    other.eraser.go_on()
    other.eraser.go_on()
    return other


def traces(gateway: World, client: str) -> list[str]:
    """Return the keys of all objects that name a client, except audit records and marks in open rounds."""
    contents = gateway.store.contents.items()
    named = [key for key, body in contents if re.search(f"/{client}[~.-]", key) or f'"{client}"'.encode() in body]
    marks = [key for key in named if key.endswith(".json") and REMOVED in json.loads(gateway.store.contents[key])]
    return [key for key in named if not key.startswith("audit/") and key not in marks]


@pytest.mark.parametrize("writes", range(1, WRITES))
def test_whenever_it_breaks_off_it_is_finished(writes: int) -> None:
    gateway = settled()
    break_off(gateway, writes)
    other = go_on(gateway)
    assert traces(gateway, "a") == []
    assert [key for key in gateway.store.contents if key.startswith("erasures/")] == []
    (tombstone,) = tombstones(gateway).values()
    assert tombstone["rounds"] == [0, 2]
    assert tombstone["done_at"] is not None
    record = other.rounds.records.read_record(JOB, 0)
    assert record is not None
    assert list(record.by_client) == ["b", "c"]
    assert list(other.commit(2).by_client) == ["b"]


def test_before_its_first_write_there_is_nothing_to_finish() -> None:
    gateway = settled()
    break_off(gateway, 0)
    before = gateway.store.contents
    go_on(gateway)
    assert gateway.store.contents == before


def test_that_many_writes_it_has() -> None:
    gateway = settled()
    calls: list[Call] = []
    gateway.store.before = calls.append
    gateway.erase("a")
    assert sum(call.writes for call in calls) == WRITES


def test_one_that_is_seen_for_the_first_time_is_left_to_its_gateway() -> None:
    gateway = settled()
    break_off(gateway, 2)
    other = World.make(gateway.store, gateway.time)
    before = gateway.store.contents
    other.eraser.go_on()
    assert gateway.store.contents == before


def test_whoever_asks_again_is_told_what_the_first_one_began() -> None:
    """Even if nothing is left in the rounds to find: the rest was not done."""
    gateway = settled()
    break_off(gateway, WRITES - 2)
    assert traces(gateway, "a") == ["erasures/job/a-1790000000.000000.json"]
    erasure = World.make(gateway.store, gateway.time).erase("a")
    assert erasure.rounds == (0, 2)
    assert traces(gateway, "a") == []
    with pytest.raises(NotFound):
        gateway.erase("a")


@pytest.mark.parametrize("writes", range(1, WRITES))
def test_a_client_that_came_back_meanwhile_stays(writes: int) -> None:
    """It asked again, was answered, and sent an update: to finish the earlier erasure must not touch that."""
    gateway = settled()
    break_off(gateway, writes)
    begun = {key: body for key, body in gateway.store.contents.items() if key.startswith("erasures/")}
    other = World.make(gateway.store, gateway.time)
    other.erase("a")
    receipt = other.put(2, "a", 77)
    for key, body in begun.items():
        gateway.store.put(key, body)  # somebody has read it before the second erasure ended
    go_on(gateway)
    assert gateway.stored_member(2, "a") == receipt.member
    assert list(other.commit(2).by_client) == ["a", "b"]
    statistics = other.statistics.repair(JOB, other.commit(2), gateway.stored_statistics(2)).statistics
    assert statistics is not None
    assert statistics.members == ("a", "b")


def come_back(gateway: World, other: World) -> None:
    """Have the client `a` send an update that is committed right after an erasure has put its mark into round 2."""

    def send(call: Call) -> None:
        if call == Call("put", layout.member(HOME, 2, ClientId("a"))):
            gateway.store.after = lambda call: None
            other.put(2, "a", 77)
            other.commit(2)

    gateway.store.after = send


def assert_counted(gateway: World) -> None:
    """Assert that a reader finds the update that `come_back` sent, in the round and in its statistics."""
    reader = World.make(gateway.store, gateway.time)
    record = reader.rounds.records.read_record(JOB, 2)
    assert record is not None
    assert list(record.by_client) == ["a", "b"]
    assert gateway.stored_member(2, "a") == record.by_client[ClientId("a")]
    statistics = reader.statistics.repair(JOB, record, gateway.stored_statistics(2)).statistics
    assert statistics is not None
    assert statistics.members == ("a", "b")
    assert reader.rounds.openings.read_model(JOB, 2, ClientId("a")).upload == record.by_client[ClientId("a")].upload


def test_what_a_client_sends_after_the_mark_counts_though_it_is_committed_before_the_erasure_ends() -> None:
    gateway = settled()
    come_back(gateway, World.make(gateway.store, gateway.time))
    gateway.erase("a")
    assert_counted(gateway)


def test_it_counts_too_where_an_erasure_goes_on_that_another_has_overtaken() -> None:
    gateway = settled()
    break_off(gateway, 2)
    begun = {key: body for key, body in gateway.store.contents.items() if key.startswith("erasures/")}
    other = World.make(gateway.store, gateway.time)
    other.erase("a")
    for key, body in begun.items():
        gateway.store.put(key, body)  # somebody has read it before the second erasure ended
    come_back(gateway, other)
    go_on(gateway)
    assert_counted(gateway)


def test_a_job_that_was_deleted_meanwhile_needs_no_more() -> None:
    for anew in (False, True):
        gateway = settled()
        break_off(gateway, 3)
        gateway.jobs.delete(NAME)
        if anew:
            gateway.jobs.create(JOB)
        go_on(gateway)
        assert [key for key in gateway.store.contents if key.startswith("erasures/")] == []
        (tombstone,) = tombstones(gateway).values()
        assert (tombstone["objects"], tombstone["done_at"] is not None) == (0, True)


def test_trouble_with_one_does_not_keep_others_from_being_finished(caplog: pytest.LogCaptureFixture) -> None:
    gateway = settled()
    for client in ("a", "c"):
        break_off(gateway, 2, client)
    other = World.make(gateway.store, gateway.time)
    other.eraser.go_on()

    def refuse(call: Call) -> None:
        if call == Call("put", layout.member(HOME, 0, ClientId("a"))):
            raise StoreUnavailable("away")

    gateway.store.before = refuse
    other.eraser.go_on()
    assert "erasure not finished" in caplog.text
    assert traces(gateway, "c") == []
    gateway.store.before = lambda call: None
    other.eraser.go_on()
    assert traces(gateway, "a") == []


def test_what_is_missing_in_the_store_does_not_pass_for_a_deleted_job() -> None:
    gateway = settled()
    break_off(gateway, 2)
    other = World.make(gateway.store, gateway.time)
    other.eraser.go_on()

    def miss(call: Call) -> None:
        if call == Call("list", layout.clients_prefix(HOME, 0)):
            raise NotFound("the store has lost a folder")

    gateway.store.before = miss
    other.eraser.go_on()
    (tombstone,) = tombstones(gateway).values()
    assert tombstone["done_at"] is None
    gateway.store.before = lambda call: None
    other.eraser.go_on()
    assert traces(gateway, "a") == []


def test_the_answer_names_what_remains() -> None:
    gateway = settled()
    gateway.put(3, "a", 1)
    gateway.put_aggregate(3, 2)
    gateway.commit(3)
    gateway.put(4, "a", 1)
    gateway.put_aggregate(4, 3)
    gateway.drop(2, "a")
    gateway.put(2, "a-1", 1)
    gateway.drop(2, "a-1")
    erasure = gateway.erase("a")
    assert erasure.rounds == (0, 3, 4)
    assert erasure.remains["aggregates"] == [3, 4]
    (withdrawn,) = [
        key for key, entry in tombstones(gateway).items() if entry["client"] == "a" and "withdrawn" in entry
    ]
    assert erasure.remains["audit_records"] == sorted([erasure.tombstone, withdrawn])


@pytest.mark.parametrize(
    ("name", "client", "expected"),
    [
        ("a-12.000000", "a", True),
        ("a-12.000000-u1", "a", True),
        ("a-1-12.000000", "a", False),
        ("a-1-12.000000", "a-1", True),
        ("b-12.000000", "a", False),
        ("a.b-12.000000", "axb", False),
    ],
)
def test_audit_records_are_told_apart_by_client(name: str, client: str, expected: bool) -> None:
    assert is_about(layout.audit(NAME, name), NAME, ClientId(client)) is expected


def test_a_gateway_that_goes_on_late_takes_nothing_back() -> None:
    """It is about to write that the erasure has begun when another one finishes it; right afterwards it breaks off."""
    gateway = settled()
    break_off(gateway, 2)
    reader, late = (World.make(gateway.store, gateway.time) for _ in range(2))
    assert reader.rounds.catalog.read_index(NAME).rounds_of("a") == [0]

    def be_overtaken(call: Call) -> None:
        if call.method == "put":
            gateway.store.before = lambda call: None
            go_on(gateway)
            gateway.store.before = break_off_elsewhere

    def break_off_elsewhere(call: Call) -> None:
        if not call.key.startswith("audit/"):
            raise StoreUnavailable("the gateway is dead")

    late.eraser.go_on()
    gateway.store.before = be_overtaken
    late.eraser.go_on()
    gateway.store.before = lambda call: None
    (tombstone,) = tombstones(gateway).values()
    assert tombstone["done_at"] is not None
    assert "a" not in reader.rounds.catalog.refresh(NAME).participations


@pytest.mark.parametrize("damaged", [b"no JSON", b"[]", b"null", b"{}", b'{"uploads": {"x": []}}', b'{"format": 9}'])
def test_a_record_that_cannot_be_read_stops_no_other(damaged: bytes, caplog: pytest.LogCaptureFixture) -> None:
    gateway = world()
    gateway.put(0, "a", 1)
    gateway.put(0, "b", 2)
    key = layout.erasure(NAME, "0-damaged-1.000000")
    gateway.store.put(key, damaged)
    break_off(gateway, 3)
    go_on(gateway)
    assert gateway.stored_member(0, "a") is None
    assert [found for found in gateway.store.contents if found.startswith(layout.erasures_prefix())] == [key]
    assert "record of an erasure cannot be read" in caplog.text
