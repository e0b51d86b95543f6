"""What is acknowledged is readable and counted; what is committed does not change."""

from collections.abc import Mapping
from contextlib import suppress
from hashlib import sha256
from typing import Any

import numpy as np

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Member, Round, Updates
from services.gateway.rounds.erase import Erasure
from services.gateway.rounds.ingest import Receipt
from services.gateway.rounds.statistics import Statistics
from tests.protocol.history import Attempt
from tests.protocol.plans import CLIENTS, ROUNDS
from tests.protocol.promises.end import SEEDS, ZERO, End, Vector, numbers_of


def check(end: End) -> None:
    """Check what is promised of rounds, uploads and withdrawals."""
    if end.job is None:
        return
    for number in ROUNDS:
        _check_round(end, end.job, number)
    for attempt in end.history.of("put", "replace", home=end.job.home):
        if isinstance(attempt.answer, Receipt):
            _check_acknowledged(end, attempt, attempt.answer)
    for attempt in end.history.of("make", "remake", home=end.job.home):
        if isinstance(attempt.answer, dict):
            _check_made(end, attempt, attempt.answer)
    for attempt in end.history.of("drop", home=end.job.home):
        if isinstance(attempt.answer, Member):
            _check_dropped(end, attempt)


def _check_round(end: End, job: Job, number: int) -> None:
    """A committed round is what every commit was answered, less who was erased; and no record names other bytes."""
    record = end.records[number]
    for member in record.members if record else end.gateway.rounds.records.read_members(job, number):
        tensors = end.store.contents.get(layout.tensors(job.home, number, member.client, member.upload))
        assert tensors is not None, f"round {number}: {member.client}'s record has no tensors"
        assert sha256(tensors).hexdigest() == member.sha256, f"round {number}: {member.client}'s are other bytes"
    for attempt in end.history.of("commit", "commit-filled", "read", home=job.home, number=number):
        if isinstance(attempt.answer, Round):
            _check_same(end, attempt.answer, record)
    if record:
        _check_others(end, job, record)
        _check_statistics(end, job, record)


def _check_same(end: End, answer: Round, record: Round | None) -> None:
    assert record is not None, f"round {answer.number} was committed and is not"
    erased = {each.client for each in end.history.of("erase")}
    stays = [member for member in answer.members if member.client not in erased]
    assert stays == [member for member in record.members if member.client not in erased], "a round has changed"
    assert {*record.by_client} <= {*answer.by_client}, "a round has got members"
    assert answer.metrics == record.metrics, "a round's metrics have changed"


def _check_others(end: End, job: Job, record: Round) -> None:
    """Nothing can be read of a committed round but what is in it."""
    for client in set(CLIENTS) - {*record.by_client}:
        with suppress(NotFound):
            end.gateway.rounds.openings.read_model(job, record.number, ClientId(client))
            raise AssertionError(f"{client} is not in round {record.number}, and can be read")


def _check_statistics(end: End, job: Job, record: Round) -> None:
    statistics = Statistics(end.gateway.rounds, end.gateway.backends)
    settled = end.gateway.rounds.bases.settle(end.gateway.rounds.catalog.refresh(job.id), record)
    fitting = statistics.repair(job, settled, end.read_statistics(record.number)).statistics
    if record.members:
        assert fitting is not None
        base = _base(end, record)
        deltas = numbers_of([SEEDS[member.sha256] for member in record.members])
        deltas -= ZERO if job.updates_of(record.updates) is Updates.DELTA else base
        if record.aggregate:
            deltas = np.vstack([deltas, end.read_numbers(record.aggregate) - base])
        assert fitting.gram.shape == (len(deltas), len(deltas)), "statistics are of other members"
        assert np.allclose(fitting.gram, deltas @ deltas.T), "statistics are not those of the round's members"


def _base(end: End, record: Round) -> Vector:
    """Return what a committed round's updates are compared with: the aggregate of the round before, if it has one."""
    before = end.find(record.number - 1, AGGREGATE) if record.number else None
    if before is None or (record.base is None and not end.records[record.number - 1]):
        return ZERO
    return end.read_numbers(before)


def _check_acknowledged(end: End, attempt: Attempt, receipt: Receipt) -> None:
    """What was acknowledged is stored and counted, unless it was erased, replaced or taken back afterwards."""
    erasures = list(end.history.of("erase", client=attempt.client))
    later = [*erasures, *end.same_place("replace", "drop", like=attempt)]
    if any(each.ended >= attempt.began for each in later if each is not attempt):
        return
    if not receipt.created and not all(isinstance(each.answer, Erasure) for each in erasures):
        return  # an erasure that broke off may go on with what it found then
    member = end.find(attempt.number, attempt.client)
    assert member is not None, f"{attempt.client} was acknowledged in round {attempt.number} and does not count"
    assert member.sha256 == receipt.member.sha256, f"{attempt.client} was acknowledged with other bytes"


def _check_made(end: End, attempt: Attempt, answer: Mapping[str, Any]) -> None:
    """A model that was made is its round's aggregate, unless another was made afterwards to take its place.

    One that was made early, before, has no such right, even if it is stored afterwards.
    """
    others = end.history.of("remake", home=attempt.home, number=attempt.number)
    early = end.history.of("make-early", home=attempt.home, number=attempt.number)
    later = [each.ended for each in others if each is not attempt] + [each.answered for each in early]
    if not any(step >= attempt.began for step in later):
        aggregate = end.find(attempt.number, AGGREGATE)
        assert aggregate is not None, f"the aggregate of round {attempt.number} was made and is not there"
        assert aggregate.sha256 == answer["artifact"]["sha256"], f"round {attempt.number} has another aggregate"


def _check_dropped(end: End, attempt: Attempt) -> None:
    """What was taken back counts nowhere, unless it came again."""
    again = end.same_place("put", "replace", like=attempt)
    if not any(each.ended >= attempt.began for each in again):
        member = end.find(attempt.number, attempt.client)
        assert member is None, f"{attempt.client} was taken back in {attempt.number} and counts"
