"""Replacements and withdrawals against commits, uploads and each other, under every order of their store calls."""

from collections.abc import Callable
from hashlib import sha256

import pytest

from flstore_core import layout
from flstore_core.errors import Conflict, NotFound, RoundCommitted, Unavailable
from flstore_core.ids import ClientId
from flstore_core.records import Member, Round
from flstore_core.storage import Body, ObjectInfo
from services.gateway.rounds.ingest import Receipt
from tests.fakes.store import MemoryStore
from tests.gateway.rounds.test_interleavings import Operation, Outcomes, outcomes_of, two_delivered
from tests.gateway.rounds.world import HOME, JOB, World, body, gram, world

SEEDS = {sha256(body(seed)).hexdigest(): seed for seed in (1, 2, 3, 9)}
C = ClientId("c")


def replace_2(gateway: World) -> object:
    return gateway.put(0, C, 2, replace=True)


def replace_3(gateway: World) -> object:
    return gateway.put(0, C, 3, replace=True)


def repeat_1(gateway: World) -> object:
    return gateway.put(0, C, 1)


def drop_c(gateway: World) -> object:
    return gateway.drop(0, C)


def commit(gateway: World) -> object:
    return gateway.commit(0)


def keep_promises(setting: World, outcomes: Outcomes) -> None:
    """Assert what must hold after any operations on client c of round 0, in which seed 1 was acknowledged before."""
    record = setting.stored_record(0)
    counts = record.find(C) if record else setting.stored_member(0, C)
    sent = [each.member.sha256 for each in outcomes.values() if isinstance(each, Receipt)]
    dropped = any(isinstance(each, Member) for each in outcomes.values())
    for outcome in outcomes.values():
        if isinstance(outcome, Round):
            assert outcome == record, "every commit is answered with the one record"
        else:
            assert isinstance(outcome, Receipt | Member | RoundCommitted | Conflict | NotFound | Unavailable), outcome
    if counts is None:
        assert dropped, "only who is taken back counts no more"
    else:
        assert counts.sha256 in sent or counts.sha256 == sha256(body(1)).hexdigest()
        assert sent == [] or counts.sha256 in sent, "what was acknowledged last counts"
    for member in record.members if record else setting.rounds.records.read_members(JOB, 0):
        assert setting.stored_tensors(0, member.client) == body(SEEDS[member.sha256]), "its bytes are there"
    if record:
        assert len(setting.stored_files(0)) == len(record.members), "and no others"
        statistics = setting.statistics.repair(JOB, record, setting.stored_statistics(0)).statistics
        assert statistics is not None
        assert statistics.gram.tolist() == gram([SEEDS[member.sha256] for member in record.members])


@pytest.mark.parametrize(
    ("operations", "preemptions", "ends"),
    [
        ([drop_c, commit], 3, {"Member, early", "RoundCommitted, c+early"}),
        ([replace_2, commit], 3, {"created, c+early", "RoundCommitted, c+early"}),
        ([replace_2, replace_3], 3, {"created, created"}),
        ([drop_c, drop_c], 3, {"Member, NotFound", "NotFound, Member"}),
        ([drop_c, replace_2], 3, {"Member, created", "Member, Unavailable"}),
        ([drop_c, repeat_1], 3, {"Member, repeated", "Member, created"}),
    ],
    ids=lambda value: "+".join(each.__name__ for each in value) if isinstance(value, list) else "",
)
def test_in_every_order(operations: list[Operation], preemptions: int, ends: set[str]) -> None:
    assert outcomes_of(two_delivered, operations, keep_promises, preemptions) == ends


class RepeatingStore(MemoryStore):
    """Carries out the first write of a record twice, as if the answer to the first time was lost.

    Attributes:
        between: what happens in between.
    """

    between: Callable[[], object] | None = None

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        info = super().put(key, body, if_none_match=if_none_match, if_match=if_match)
        if self.between and key == layout.member(HOME, 0, ClientId("c")):
            between, self.between = self.between, None
            between()
            info = super().put(key, body, if_none_match=if_none_match, if_match=if_match)
        return info


def test_a_replacement_that_is_written_twice_does_not_name_a_file_that_another_one_deleted() -> None:
    store = RepeatingStore()
    gateway = world(store=store)
    gateway.put(0, "c", 1)
    store.between = lambda: World.make(store, gateway.time).put(0, "c", 3, replace=True)
    receipt = gateway.put(0, "c", 2, replace=True)
    assert gateway.stored_member(0, "c") == receipt.member
    assert gateway.stored_tensors(0, "c") == body(2)
    gateway.commit(0)
    assert gateway.stored_files(0) == {f"c~{receipt.member.upload}.safetensors"}
