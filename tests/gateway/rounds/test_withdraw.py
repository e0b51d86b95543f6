"""What an open round holds can be replaced and taken back; what is committed stays."""

import json

import pytest

from flstore_core import layout
from flstore_core.errors import Conflict, NotFound, RoundCommitted
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import to_bytes
from tests.fakes.store import Call
from tests.gateway.rounds.world import HOME, JOB, NAME, World, body, gram, world

PLACE = layout.member(HOME, 0, ClientId("a"))


@pytest.fixture
def gateway() -> World:
    made = world()
    made.put(0, "a", 1, {"num_examples": 5})
    made.put(0, "b", 2)
    return made


def audits(gateway: World) -> list[dict[str, object]]:
    prefix = layout.audit_prefix(NAME)
    return [json.loads(text) for key, text in gateway.store.contents.items() if key.startswith(prefix)]


def test_a_replacement_takes_the_place_of_an_update(gateway: World) -> None:
    earlier = gateway.stored_member(0, "a")
    assert earlier
    receipt = gateway.put(0, "a", 4, {"num_examples": 7}, replace=True)
    assert (receipt.created, receipt.member.metrics) == (True, {"num_examples": 7})
    assert gateway.stored_tensors(0, "a") == body(4)
    assert len(gateway.stored_files(0)) == 2, "the file of the earlier one is gone"
    record = gateway.commit(0)
    assert [member.num_examples for member in record.members] == [7, 1]
    statistics = gateway.stored_statistics(0)
    assert statistics is not None
    assert statistics.gram.tolist() == gram([4, 2])
    [audit] = audits(gateway)
    assert audit["client"] == "a"
    assert audit["withdrawn"] == {"round": 0, "sha256": earlier.sha256, "received_at": earlier.received_at}


def test_other_metrics_replace_too_and_the_same_update_replaces_nothing(gateway: World) -> None:
    with pytest.raises(Conflict, match="other metrics"):
        gateway.put(0, "a", 1, {"num_examples": 6})
    assert gateway.put(0, "a", 1, {"num_examples": 6}, replace=True).created
    assert not gateway.put(0, "a", 1, {"num_examples": 6}, replace=True).created
    assert len(audits(gateway)) == 1


def test_a_replacement_of_nothing_is_an_upload(gateway: World) -> None:
    assert gateway.put(0, "c", 3, replace=True).created
    assert audits(gateway) == []


def test_an_update_that_is_taken_back_is_not_committed(gateway: World) -> None:
    assert gateway.drop(0, "a").client == "a"
    assert gateway.stored_tensors(0, "a") is None
    assert gateway.rounds.openings.read_open(JOB, 0).by_client.keys() == {"b"}
    with pytest.raises(NotFound, match="update in open round 0 'a' does not exist"):
        gateway.drop(0, "a")
    assert gateway.commit(0).by_client.keys() == {"b"}
    statistics = gateway.stored_statistics(0)
    assert statistics is not None
    assert statistics.gram.tolist() == gram([2])
    left = [key for key in gateway.store.contents if "/clients/a" in key]
    assert left == [], "a committed round keeps no mark either"


def test_what_was_taken_back_may_come_again(gateway: World) -> None:
    gateway.drop(0, "a")
    assert gateway.put(0, "a", 5).created
    assert gateway.commit(0).by_client.keys() == {"a", "b"}


def test_an_aggregate_is_replaced_and_taken_back(gateway: World) -> None:
    gateway.put_aggregate(0, 3)
    gateway.put(0, AGGREGATE, 5, replace=True)
    assert gateway.stored_tensors(0, AGGREGATE) == body(5)
    gateway.drop(0, AGGREGATE)
    assert gateway.commit(0).aggregate is None


def test_a_round_is_taken_back_as_a_whole(gateway: World) -> None:
    gateway.put_aggregate(0, 3)
    dropped = gateway.withdrawals.drop_round(JOB, 0)
    assert [member.client for member in dropped] == ["a", "b", AGGREGATE]
    assert gateway.rounds.openings.read_open(JOB, 0).members == ()
    assert gateway.stored_files(0) == set()
    assert gateway.withdrawals.drop_round(JOB, 0) == []
    with pytest.raises(NotFound):
        gateway.withdrawals.drop_round(JOB, 7)


def test_a_committed_round_is_immutable(gateway: World) -> None:
    gateway.commit(0)
    before = gateway.store.contents
    for attempt in (
        lambda: gateway.drop(0, "a"),
        lambda: gateway.withdrawals.drop_round(JOB, 0),
        lambda: gateway.put(0, "a", 4, replace=True),
        lambda: gateway.put(0, "c", 4, replace=True),
    ):
        with pytest.raises(RoundCommitted):
            attempt()
    assert gateway.store.contents == before


def test_a_commit_that_wins_keeps_what_was_to_be_taken_back(gateway: World) -> None:
    """The round is committed between the first look at its record and the mark."""
    other = World.make(gateway.store)
    _once(gateway, Call("put", PLACE), lambda: other.commit(0))
    with pytest.raises((RoundCommitted, NotFound)):
        gateway.drop(0, "a")
    record = gateway.stored_record(0)
    assert record is not None
    assert record.by_client.keys() == {"a", "b"}
    assert gateway.stored_tensors(0, "a") == body(1)


def test_a_commit_that_wins_keeps_what_was_to_be_replaced(gateway: World) -> None:
    other = World.make(gateway.store)
    _once(gateway, Call("put", PLACE), lambda: other.commit(0))
    with pytest.raises(RoundCommitted):
        gateway.put(0, "a", 4, replace=True)
    record = gateway.stored_record(0)
    assert record is not None
    assert gateway.stored_tensors(0, "a") == body(1)
    assert gateway.stored_member(0, "a") == record.by_client[ClientId("a")]
    assert len(gateway.stored_files(0)) == 2


def test_a_replacement_while_a_commit_is_under_way_is_in_the_round_or_refused(gateway: World) -> None:
    """The commit has listed the earlier update, and has not written its record yet."""
    record_key = layout.round_record(HOME, 0)
    other = World.make(gateway.store)
    member = gateway.stored_member(0, "a")
    assert member

    def replace() -> None:
        # What an upload does up to its fifth step; the sixth waits for the record, which is about to come.
        upload = "late"
        gateway.store.put(layout.tensors(HOME, 0, ClientId("a"), upload), body(4))
        new = type(member)(member.client, "0" * 64, member.nbytes, member.data_offset, {}, 0.0, upload)
        place = gateway.rounds.records.read_place(JOB, 0, ClientId("a"))
        gateway.store.put(PLACE, to_bytes(new.to_json()), if_match=place.etag)

    _once(other, Call("put", record_key), replace)
    record = other.commit(0)
    assert record.by_client[ClientId("a")].upload == "late"
    statistics = gateway.stored_statistics(0)
    assert statistics is None or "a" not in statistics.members, "the row of the earlier one is gone"


def _once(gateway: World, at: Call, action: object) -> None:
    """Do something else before the first call `at`."""
    done: list[Call] = []

    def before(call: Call) -> None:
        if call == at and not done:
            done.append(call)
            action()  # type: ignore[operator]

    gateway.store.before = before
