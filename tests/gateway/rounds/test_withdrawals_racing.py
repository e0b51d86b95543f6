"""Replacements and withdrawals against commits, uploads and each other, under every order of their store calls."""

from hashlib import sha256

import pytest

from flstore_core.errors import Conflict, NotFound, RoundCommitted, Unavailable
from flstore_core.ids import ClientId
from flstore_core.records import Member, Round
from services.gateway.rounds.ingest import Receipt
from tests.gateway.rounds.test_interleavings import Operation, Outcomes, outcomes_of, two_delivered
from tests.gateway.rounds.world import JOB, World, body, gram

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
