"""Closes rounds: their statistics are added up over the slices and stored, then the record that makes them final."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field, replace
from typing import Any

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError, PreconditionFailed, unknown
from flstore_core.ids import JobId
from flstore_core.records import Job, Member, Round, StatisticsMode, to_bytes
from flstore_core.shard.protocol import MemberRef, SliceRef, StatisticsRequest, Work
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore
from services.gateway.backends.placement import Placement
from services.gateway.backends.shards import Shards
from services.gateway.rounds.index import Catalog
from services.gateway.rounds.records import Rounds


@dataclass(frozen=True, slots=True)
class Closing:
    """What a caller says of a round as it closes it."""

    metrics: Mapping[str, Any] = field(default_factory=dict)
    hyperparameters: Mapping[str, Any] = field(default_factory=dict)
    participants: Sequence[str] | None = None
    """Clients that must have delivered; None takes whoever has."""


class Commit:
    """Commits rounds, and asks shards for the statistics of open ones. Safe to share between threads.

    Args:
        callers: runs the calls of several shards side by side.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        rounds: Rounds,
        placement: Placement,
        shards: Shards,
        callers: Executor,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._rounds = rounds
        self._placement = placement
        self._shards = shards
        self._callers = callers
        self._now = now

    def commit(self, job: Job, number: int, closing: Closing) -> Round:
        """Make a round immutable and return its record. Committing again in the same words changes nothing.

        Raises:
            InvalidParameters: if metrics or hyperparameters are not JSON.
            NotFound: if a named participant has not delivered.
            Conflict: if the round was committed in other words.
        """
        if done := self._rounds.record(job.id, number):
            return _same_or_conflict(done, closing)
        to_bytes([closing.metrics, closing.hyperparameters])
        self._check_participants(job.id, number, closing)
        self._rounds.close(job.id, number, self._rounds.opening(job, number))
        current = self._rounds.current(job, number)
        statistics, _ = self.statistics(job, current)
        if statistics:
            self._store.put(layout.statistics(job.id, number), statistics.to_bytes())
        record = replace(
            current, metrics=closing.metrics, hyperparameters=closing.hyperparameters, committed_at=self._now()
        )
        try:
            self._store.put(layout.round_record(job.id, number), to_bytes(record.to_json()), if_none_match=True)
        except PreconditionFailed:
            done = self._rounds.record(job.id, number)
            return _same_or_conflict(done or record, closing)
        self._rounds.remember(job.id, record, statistics)
        self._catalog.committed(job.id, record)
        self._tell_shards(job, number)
        return record

    def repair(self, job: Job, record: Round, found: RoundStatistics | None) -> tuple[RoundStatistics | None, Work]:
        """Return a committed round's statistics, worked out again unless those `found` are of its very members.

        They may not be where two gateways committed at once, or a client is being erased at this moment.
        """
        members = tuple(member.client for member in _models(record))
        if job.statistics is StatisticsMode.OFF or not members or (found and found.members == members):
            return found, Work()
        statistics, work = self.statistics(job, record)
        self._rounds.remember(job.id, record, statistics)
        return statistics, work

    def statistics(self, job: Job, record: Round) -> tuple[RoundStatistics | None, Work]:
        """Return a round's statistics as its shards have them; None if the job keeps none or nobody has delivered."""
        members = _models(record)
        if job.statistics is StatisticsMode.OFF or not members:
            return None, Work()
        refs = tuple(MemberRef.of(record.number, member) for member in members)
        base = self._rounds.base_of(job.id, record)
        assignment = self._placement.find_or_place(job.id)

        def ask(index: int) -> tuple[RoundStatistics, Work]:
            part = SliceRef(job.id, job.schema.digest, assignment.slices, index)
            return self._shards.statistics(
                self._placement.addresses(assignment, index), StatisticsRequest(part, refs, base)
            )

        answers = list(self._callers.map(ask, range(assignment.slices)))
        return RoundStatistics.add_up([found for found, _ in answers]), sum((work for _, work in answers), Work())

    def _check_participants(self, job: JobId, number: int, closing: Closing) -> None:
        if closing.participants is None:
            return
        delivered = [str(member.client) for member in self._rounds.members(job, number)]
        for client in closing.participants:
            if client not in delivered:
                raise unknown(f"participant in round {number}", client, delivered)

    def _tell_shards(self, job: Job, number: int) -> None:
        """Tell the slices' shards, for their policies' sake; nothing depends on it."""
        try:
            assignment = self._placement.find_or_place(job.id)
            for index in range(assignment.slices):
                part = SliceRef(job.id, job.schema.digest, assignment.slices, index)
                self._shards.committed(self._placement.addresses(assignment, index), part, number)
        except FLStoreError:
            return


def round_of(rounds: Rounds, catalog: Catalog, job: JobId, number: int) -> Round:
    """Return a round, committed or open; raise `NotFound` if nothing was ever put into it."""
    index = catalog.index(job)
    if record := rounds.record(job, number):
        return record
    index = catalog.refresh(job) if number not in index.open else index
    if number not in index.open:
        raise unknown(f"round of job {job!r}:", str(number), [str(n) for n in (*index.committed, *index.open)])
    return rounds.current(index.job, number)


def _models(record: Round) -> list[Member]:
    return [*record.members, *([record.aggregate] if record.aggregate else [])]


def _same_or_conflict(done: Round, closing: Closing) -> Round:
    if done.metrics != closing.metrics or done.hyperparameters != closing.hyperparameters:
        raise Conflict(f"round {done.number} is committed already, with other metrics or hyperparameters")
    return done
