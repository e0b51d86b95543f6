"""Commits rounds: lists a round's members, stores their statistics, then the record that makes the round immutable.

Three things, three names. A `CommitRequest` is what a caller sends. The *commit mark* (`Opening.commit_begun`) says in
the store that a commit has begun. The *record*, `round.json`, says that the round is committed, and what is in it.

The states of a round, and what moves it on:

    absent ──first upload, or a commit──▶ open ──commit mark──▶ being committed ──record──▶ committed

**The steps of a commit, and why they come in this order.**

1. If there is a record, this is a repeat: the same request is answered with the record, another is refused.
2. The request is checked, so that a bad one does not mark the round.
3. The commit mark is set. It comes before the members are listed: an upload that stores its record too late for the
   list is certain to see the mark, and does not acknowledge (`services.gateway.rounds.ingest`).
4. The members are listed, and their statistics computed and stored. They come before the record: whoever sees the
   record finds the statistics.
5. The record is created by a conditional write. Of commits that race, one wins; the others fail here, or in step 4 at
   an update that was too late for the winner and is gone, and then answer as in step 1. Each may have listed other
   members, and the statistics in the store may be the loser's: a reader compares the names in both and repairs
   (`Statistics.repair`).

A commit that breaks off after step 3 leaves the round being committed. Uploads then end with `Unavailable`, and the
next commit goes through all steps again.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError, unknown
from flstore_core.ids import JobId
from flstore_core.records import Job, Round, to_bytes
from services.common.timing import Time
from services.gateway.backends.slices import Backends
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.statistics import Statistics


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What a caller says of a round as they commit it."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    participants: Sequence[str] | None = None
    """Clients that must have delivered; None takes whoever has."""


class Commit:
    """Commits rounds. Safe to share between threads."""

    def __init__(self, rounds: Rounds, statistics: Statistics, backends: Backends, time: Time) -> None:
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._openings = rounds.openings
        self._statistics = statistics
        self._backends = backends
        self._time = time

    def commit(self, job: Job, number: int, request: CommitRequest) -> Round:
        """Make a round immutable and return its record. The same request again changes nothing.

        Raises:
            InvalidParameters: if metrics or hyperparameters are not JSON.
            NotFound: if a named participant has not delivered.
            Conflict: if the round was committed with other metrics or hyperparameters.
        """
        if record := self._records.read_record(job.id, number):
            return _check_same(record, request)
        self._check(job.id, number, request)
        try:
            return self._close(job, number, request)
        except FLStoreError:
            if record := self._records.read_record(job.id, number):
                return _check_same(record, request)
            raise

    def _close(self, job: Job, number: int, request: CommitRequest) -> Round:
        """Take steps 3 to 5 and return the round's record; raise `PreconditionFailed` if another commit was first."""
        opening = self._openings.open_round(job.id, number)
        self._openings.mark_commit(job.id, number, opening)
        members = self._openings.read_members(job.id, number, opening)
        statistics, _ = self._statistics.compute(job, members)
        if statistics:
            self._store.put(layout.statistics(job.id, number), statistics.to_bytes())
        record = replace(
            members, metrics=request.metrics, hyperparameters=request.hyperparameters, committed_at=self._time.now()
        )
        self._store.put(layout.round_record(job.id, number), to_bytes(record.to_json()), if_none_match=True)
        self._records.remember(job.id, record, statistics)
        self._catalog.note_commit(job.id, record)
        self._notify_shards(job, number)
        return record

    def _check(self, job: JobId, number: int, request: CommitRequest) -> None:
        to_bytes([request.metrics, request.hyperparameters])
        if request.participants is None:
            return
        delivered = [str(member.client) for member in self._records.read_members(job, number)]
        for client in request.participants:
            if client not in delivered:
                raise unknown(f"participant in round {number}", client, delivered)

    def _notify_shards(self, job: Job, number: int) -> None:
        """Tell the shards, whose policies learn from it. Nothing else depends on it, so failures are ignored."""
        try:
            for held in self._backends.locate_slices(job):
                self._backends.shards.committed(held.urls, held.part, number)
        except FLStoreError:
            return


def _check_same(record: Round, request: CommitRequest) -> Round:
    """Return a committed round's record; raise `Conflict` if it was committed by another request."""
    if record.metrics != request.metrics or record.hyperparameters != request.hyperparameters:
        raise Conflict(f"round {record.number} is committed already, with other metrics or hyperparameters")
    return record
