"""How a client is erased: what goes, what stays, and who learns of it."""

import json
from typing import Any

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, RoundCommitted, StoreUnavailable
from flstore_core.ids import ClientId
from services.gateway.rounds.erase import ELSEWHERE
from tests.fakes.clock import FakeTime
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, NAME, World, body, gram, world


def settled(**options: Any) -> World:
    """Return a gateway with rounds 0 (a, b, c; committed), 1 (b; committed) and 2 (a, b; open)."""
    gateway = world(**options)
    for number, clients in ((0, "abc"), (1, "b"), (2, "ab")):
        for client in clients:
            gateway.put(number, client, ord(client))
        if number < 2:
            gateway.commit(number)
    return gateway


def tombstones(gateway: World) -> dict[str, dict[str, Any]]:
    contents = gateway.store.contents
    return {key: json.loads(contents[key]) for key in contents if key.startswith(layout.audit_prefix(NAME))}


def test_nothing_of_the_client_is_left() -> None:
    gateway = settled()
    erasure = gateway.erase("a")
    assert (erasure.rounds, erasure.objects) == ((0, 2), 4)
    for number in (0, 2):
        assert gateway.stored_tensors(number, "a") is None
        assert gateway.stored_member(number, "a") is None
    record, statistics = gateway.stored_record(0), gateway.stored_statistics(0)
    assert record is not None
    assert statistics is not None
    assert [member.client for member in record.members] == ["b", "c"]
    assert statistics.members == ("b", "c")
    assert statistics.gram.tolist() == gram([ord("b"), ord("c")])
    assert json.loads(json.dumps(erasure.to_json())) == {
        "client": "a",
        "rounds": [0, 2],
        "objects": 4,
        "tombstone": erasure.tombstone,
        "removed": {"updates": 2, "files": 2, "statistics": 1, "old_versions": 0},
        "remains": {"aggregates": [], "audit_records": [erasure.tombstone], "elsewhere": ELSEWHERE},
    }


def test_everything_else_stays() -> None:
    gateway = settled()
    before = gateway.store.contents
    gateway.erase("a")
    after = gateway.store.contents
    changed = {key for key in before if before[key] != after.get(key)}
    records = [layout.member(HOME, number, ClientId("a")) for number in (0, 2)]
    files = [layout.tensors(HOME, number, ClientId("a"), name) for number, name in ((0, "u1"), (2, "u5"))]
    assert changed == {layout.round_record(HOME, 0), layout.statistics(HOME, 0), *records, *files}
    assert after.keys() - before.keys() == {layout.statistics(HOME, 2), *tombstones(gateway)}
    assert gateway.stored_tensors(2, "b") == body(ord("b"))


def test_the_tombstone_tells_when_it_began_and_ended() -> None:
    time = FakeTime()
    gateway = settled(time=time)
    began = time.now()
    early: list[dict[str, dict[str, Any]]] = []

    def look(call: Call) -> None:
        if call.method == "delete" and not early:
            early.append(tombstones(gateway))
            time.sleep(3.0)

    gateway.store.before = look
    erasure = gateway.erase("a")
    entry = {"job": "job", "client": "a", "rounds": [0, 2], "asked_at": began}
    (begun,), done = (found[erasure.tombstone] for found in early), tombstones(gateway)[erasure.tombstone]
    assert begun.pop("write") != done.pop("write"), "no two writes have the same etag"
    assert begun == {**entry, "done_at": None}
    assert done == {**entry, "rounds_done_at": began + 3.0, "objects": 4, "done_at": began + 3.0}


def test_this_gateway_forgets_and_awake_shards_too() -> None:
    gateway = settled(slices=2)
    assert list(gateway.rounds.catalog.read_index(NAME).rounds_of("a")) == [0]
    gateway.erase("a")
    index = gateway.rounds.catalog.read_index(NAME)
    assert sorted(index.participations) == ["b", "c"]
    assert gateway.backends.caches.forgotten == [("shard-0", NAME, "a"), ("shard-1", NAME, "a")]


def test_another_gateway_notices_though_it_looked_in_the_middle() -> None:
    gateway = settled()
    other = World.make(gateway.store)

    def look(call: Call) -> None:
        if call == Call("put", layout.round_record(HOME, 0)):
            gateway.store.before = lambda call: None
            other.rounds.catalog.refresh(NAME)
            assert other.rounds.records.read_record(JOB, 0) is not None

    gateway.store.before = look
    gateway.erase("a")
    assert sorted(other.rounds.catalog.refresh(NAME).participations) == ["b", "c"]
    record = other.rounds.records.read_record(JOB, 0)
    assert record is not None
    assert "a" not in record.by_client


@pytest.mark.parametrize("client", ["nobody", "bb"])
def test_who_never_took_part_is_not_found(client: str) -> None:
    gateway = settled()
    before = gateway.store.contents
    with pytest.raises(NotFound, match=f"client '{client}' does not exist"):
        gateway.erase(client)
    assert gateway.store.contents == before


def test_an_erased_client_cannot_be_erased_again_but_may_come_back() -> None:
    gateway = settled()
    gateway.erase("a")
    with pytest.raises(NotFound):
        gateway.erase("a")
    gateway.put(2, "a", 5)
    assert [member.client for member in gateway.commit(2).members] == ["a", "b"]


def test_a_record_that_another_erasure_replaced_is_read_again() -> None:
    gateway = settled()
    other = World.make(gateway.store)

    def erase_another(call: Call) -> None:
        if call == Call("put", layout.round_record(HOME, 0)):
            gateway.store.before = lambda call: None
            other.erase("c")

    gateway.store.before = erase_another
    gateway.erase("a")
    record = gateway.stored_record(0)
    assert record is not None
    assert list(record.by_client) == ["b"]


def test_files_that_no_record_names_go_too() -> None:
    gateway = settled()
    gateway.store.put(layout.tensors(HOME, 2, ClientId("a"), "cut-off"), b"of an upload that was cut off")
    gateway.store.put(layout.tensors(HOME, 2, ClientId("z"), "cut-off"), b"of a client that nothing else is known of")
    gateway.store.put(layout.tensors(HOME, 1, ClientId("a")), b"of version 0.1.0")
    assert gateway.erase("a").rounds == (0, 1, 2)
    assert gateway.erase("z").rounds == (2,)
    assert not [key for number in range(3) for key in gateway.stored_files(number) if key.startswith("a")]
    assert gateway.stored_files(2) == {"b~u6.safetensors"}


def test_a_late_record_in_a_committed_round_counts_nowhere_and_is_erased() -> None:
    gateway = settled()
    late = gateway.store.contents[layout.member(HOME, 0, ClientId("a"))].replace(b'"a"', b'"late"')
    gateway.store.put(layout.member(HOME, 0, ClientId("late")), late)
    with pytest.raises(NotFound, match="model in round 0"):
        gateway.rounds.openings.read_model(JOB, 0, ClientId("late"))
    assert gateway.erase("late").rounds == (0,)
    assert gateway.stored_member(0, "late") is None


def test_a_commit_that_listed_the_client_before_leaves_it_out() -> None:
    """The erasure finds neither statistics nor record, and the commit writes both later."""
    for key in (layout.statistics(HOME, 2), layout.round_record(HOME, 2)):
        gateway = settled()
        other = World.make(gateway.store)

        def erase(call: Call, key: str = key, gateway: World = gateway, other: World = other) -> None:
            if call == Call("put", key):
                gateway.store.before = lambda call: None
                other.erase("a")

        gateway.store.before = erase
        assert list(gateway.commit(2).by_client) == ["b"]
        statistics = gateway.stored_statistics(2)
        assert statistics is not None
        assert statistics.members == ("b",)
        assert gateway.stored_record(2) == gateway.commit(2)
        assert gateway.stored_files(2) == {"b~u6.safetensors"}


def test_a_round_record_that_nobody_settled_is_settled_by_the_next_reader() -> None:
    gateway = settled()
    broken = World.make(gateway.store)

    def crash(call: Call) -> None:
        if call == Call("get_with_info", layout.round_record(HOME, 2)) and call.key in gateway.store.contents:
            raise StoreUnavailable("the commit breaks off")

    gateway.store.before = crash
    with pytest.raises(StoreUnavailable):
        broken.commit(2)
    gateway.store.before = lambda call: None
    assert "listed" in json.loads(gateway.store.contents[layout.round_record(HOME, 2)])
    World.make(gateway.store).erase("a")
    record = World.make(gateway.store).rounds.records.read_record(JOB, 2)
    assert record is not None
    assert list(record.by_client) == ["b"]
    assert "listed" not in json.loads(gateway.store.contents[layout.round_record(HOME, 2)])


def test_a_job_deleted_meanwhile_stays_deleted() -> None:
    gateway = settled()

    def delete_job(call: Call) -> None:
        if call == Call("get_with_info", layout.statistics(HOME, 0)):
            gateway.store.before = lambda call: None
            World.make(gateway.store).jobs.delete(NAME)

    gateway.store.before = delete_job
    with pytest.raises(NotFound, match="deleted meanwhile"):
        gateway.erase("a")
    assert [key for key in gateway.store.contents if key.startswith("jobs/")] == [layout.job(NAME)]


def test_an_update_that_was_erased_elsewhere_is_not_acknowledged_from_a_cache() -> None:
    one = world()
    other = World.make(one.store, one.time)
    one.put(0, "c", 1)
    one.put(0, "d", 2)
    one.commit(0)
    assert other.rounds.records.read_record(JOB, 0)
    one.erase("c")
    with pytest.raises(RoundCommitted):
        other.put(0, "c", 1)
    assert not other.put(0, "d", 2).created
