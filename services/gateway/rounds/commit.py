"""Commits rounds. A commit lists a round's members, stores their statistics, and then makes the round immutable.

**Three things with three names.** The `CommitRequest` is what a caller sends. The *commit mark*
(`Opening.commit_begun`) is a flag in the store: a commit has begun. The *round record*, `round.json`, says that the
round is committed and what is in it.

**The states of a round:**

    absent ──first upload or commit──▶ open ──commit mark──▶ being committed ──round record──▶ committed

**The steps of a commit, and the reason for their order.**

1. Look for the round record. If there is one, this is a repeat: the same request gets the record as its answer, a
   different request is refused.
2. Check the request, so that a bad one leaves no mark.
3. Choose the base (`services.gateway.rounds.bases`), and set the commit mark. This comes before the listing: an upload
   that is too late for the list is then certain to see the mark, and to find out (`services.gateway.rounds.ingest`).
4. List the members, and compute and store their statistics. This comes before the record, so that a reader who sees
   the record finds the statistics. They are written on the condition that those in the store are the ones that were
   there before the listing. An erasure changes them, and then the step begins again without the client.
5. Create the round record by a conditional write. It is not settled yet.
6. Settle it: take out who was erased since step 4 (`services.gateway.rounds.settlement`).
7. Look whether the job still stands. If it was deleted meanwhile, remove what was written
   (`flstore_core.generations`).

If several commits of a round race, one creates the record. The others fail in step 5, or in step 4 when they try to
read an upload that the winner's list did not include and that was removed. They then answer as in step 1. The
statistics in the store may be those of a loser, which may have listed other members. Therefore readers compare the
members of both, and have the statistics computed again if they differ (`Statistics.repair`).

A commit that breaks off after step 3 leaves the round "being committed". Uploads into it end with `Unavailable` until
somebody commits the round again, which takes all steps from the beginning.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Any

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError, NotFound, PreconditionFailed, StoreUnavailable, unknown
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Round, to_bytes
from flstore_core.statistics import RoundStatistics
from services.common.timing import Time
from services.gateway.backends.slices import Backends
from services.gateway.rounds import differences
from services.gateway.rounds.bases import other_base
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.places import Place
from services.gateway.rounds.settlement import Settlement
from services.gateway.rounds.statistics import Statistics


@dataclass(frozen=True, slots=True)
class CommitRequest:
    """What a caller wants to be recorded with a round."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    participants: Sequence[str] | None = None
    """Clients whose updates must be stored already; None accepts whatever is stored."""
    allow_empty: bool = False
    """Whether to commit a round that has neither updates nor an aggregate."""
    base: str | None = None
    """What the caller names as the round's base, as `base_name` returns it."""


class Commit:
    """Commits rounds. Safe to share between threads."""

    def __init__(self, rounds: Rounds, statistics: Statistics, backends: Backends, time: Time) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._openings = rounds.openings
        self._statistics = statistics
        self._backends = backends
        self._time = time
        self._settlement = Settlement(rounds.store)

    def commit(self, job: Job, number: int, request: CommitRequest) -> Round:
        """Make a round immutable and return its record. Repeating the request changes nothing.

        Raises:
            InvalidParameters: if metrics or hyperparameters are not JSON.
            NotFound: if a required participant has no update in the round, or nobody has and there is no aggregate; if
                no aggregate has the hash that is named as the base.
            Conflict: if the round was committed with other metrics or hyperparameters, or has another base.
            NotFound: if the job was deleted meanwhile.
        """
        if record := self._records.read_record(job, number):
            return self._repeat(job, record, request)
        self._check(job, number, request)
        try:
            return self._close(job, number, request)
        except StoreUnavailable:
            raise  # a store that is away cannot say either whether another commit won
        except FLStoreError:
            # Another commit may have caused the error (see above). If so, its record is there, and it is the answer.
            if record := self._records.read_record(job, number):
                return self._repeat(job, record, request)
            self._rounds.require(job)  # if it was deleted, what this commit has opened was written too late
            raise

    def _repeat(self, job: Job, record: Round, request: CommitRequest) -> Round:
        """Answer as the first commit was answered, if the job still stands."""
        self._rounds.require(job)
        if record.metrics != request.metrics or record.hyperparameters != request.hyperparameters:
            raise Conflict(f"round {record.number} is committed already, with other metrics or hyperparameters")
        index, bases, named = self._catalog.read_index(job.id), self._rounds.bases, request.base
        has = bases.current(index, record.number, record.base, record.base_named)
        if named and not bases.agrees(job, record.number, named, has, record.base_named):
            raise other_base(job, record.number, has, record.base_named, named)
        return bases.settle(index, record)

    def _close(self, job: Job, number: int, request: CommitRequest) -> Round:
        """Take steps 3 to 7 and return the round record; raise `PreconditionFailed` if another commit created it."""
        opened = self._openings.mark_commit(job, number, request.base)
        uncommitted, listed, statistics = self._list(job, opened)
        record = replace(
            uncommitted, metrics=request.metrics, hyperparameters=request.hyperparameters, committed_at=self._time.now()
        )
        with self._records.current(job):
            settled = self._settlement.write(job.home, record, listed)
            self._rounds.require(job)
            if settled == record:
                self._records.remember(job, record, statistics)
        record = settled
        self._catalog.note_commit(job.id, record)
        self._notify_shards(job, number)
        return record

    def _list(self, job: Job, opened: Round) -> tuple[Round, Mapping[ClientId, str | None], RoundStatistics | None]:
        """Take step 4: return the uncommitted round, the etags of its members' records, and its statistics."""
        number = opened.number
        key = layout.statistics(job.home, number)
        while True:
            etag = self._find_etag(key)  # before the listing: an erasure after it changes the statistics
            places = [place for place in self._records.read_places(job, number) if place.member]
            members = tuple(place.member for place in places if place.member)
            aggregate = self._records.read_place(job, number, AGGREGATE)
            uncommitted = replace(opened, members=members, aggregate=aggregate.member)
            try:
                uncommitted, statistics = differences.measure(self._statistics, job, uncommitted)
                if statistics:
                    self._store.put(key, statistics.to_bytes(), if_none_match=etag is None, if_match=etag)
            except (PreconditionFailed, NotFound):
                if self._records.read_record(job, number) or self._is_unchanged(job, number, places, etag):
                    raise
                continue
            listed = [*places, *([aggregate] if aggregate.member else [])]
            return uncommitted, {place.client: place.etag for place in listed}, statistics

    def _is_unchanged(self, job: Job, number: int, listed: Sequence[Place], etag: str | None) -> bool:
        """Say whether nobody has changed what step 4 started from, so that beginning it again would help nobody."""
        places = [place for place in self._records.read_places(job, number) if place.member]
        return places == listed and self._find_etag(layout.statistics(job.home, number)) == etag

    def _find_etag(self, key: str) -> str | None:
        try:
            return self._store.stat(key).etag
        except NotFound:
            return None

    def _check(self, job: Job, number: int, request: CommitRequest) -> None:
        """Raise what `commit` promises for a bad request."""
        to_bytes([request.metrics, request.hyperparameters])  # raises `InvalidParameters` if they are not JSON
        if not request.allow_empty and self._records.is_empty(job, number):
            raise _nothing_in(job, number, self._catalog.read_index(job.id).open)
        if request.participants is None:
            return
        stored = {str(member.client) for member in self._records.read_members(job, number)}
        for client in request.participants:
            if client not in stored:
                raise unknown(f"participant in round {number}", client, sorted(stored))

    def _notify_shards(self, job: Job, number: int) -> None:
        """Tell the shards of the commit, so that their policies can prefetch. Nothing else depends on it."""
        shards = self._backends.shards
        with suppress(FLStoreError):
            self._backends.ask_slices(job, lambda held: shards.committed(held.urls, held.part, number))


def _nothing_in(job: Job, number: int, open_rounds: Sequence[int]) -> NotFound:
    """Return the error for a round without anything to commit: a mistyped number would be the newest from then on."""
    others = ", ".join(str(each) for each in open_rounds if each != number) or "none"
    return NotFound(
        f"round {number} of job {job.id!r} has neither updates nor an aggregate (open rounds: {others}); to commit it "
        "as it is, allow it to be empty"
    )
