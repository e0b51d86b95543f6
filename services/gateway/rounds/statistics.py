"""Computes statistics that the store does not have: those of open rounds, and those that do not fit their round.

Each shard computes the statistics of its slice. The Gram matrix of whole parameter vectors is the sum of the Gram
matrices of their slices, so the parts add up exactly.

Example: the updates are (1, 2) and (3, 4), cut into two slices of one number. The shard of the first slice has 1 and
3 and answers ((1, 3), (3, 9)). The shard of the second has 2 and 4 and answers ((4, 8), (8, 16)). The sum is
((5, 11), (11, 25)), the inner products of the whole vectors.

**A repair** computes the statistics of a committed round anew, and stores them: those in the store may be missing or
damaged, may be of other members because several commits raced or a client was erased, or of other bytes, or taken
against another base because an earlier round was committed later. The steps, and the reason for their order:

1. Read the statistics in the store. If they fit the round record by now, take them.
2. Read the round record from the store, not from a cache.
3. Compute, and write on the condition that the statistics are those of step 1. If they have changed, begin again.

An erasure takes its client out of the round record, and changes the statistics afterwards, whatever they are. If it
changes them before step 1, the record of step 2 is without the client. If later, step 3 fails. So nobody who was erased
comes back, and no lock is needed. Of two repairs at once the second finds what the first has written.
"""

from contextlib import suppress
from dataclasses import dataclass, field, replace

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed, StoreUnavailable
from flstore_core.records import Job, Member, Round, StatisticsMode, Updates
from flstore_core.shard.protocol import MemberRef, StatisticsRequest, Work
from flstore_core.statistics import MOST_EXACT, RoundStatistics
from services.gateway.backends.slices import Backends, HeldSlice
from services.gateway.rounds.opening import Rounds

SETTLE_S = 5.0
"""Longest wait, in seconds, for slices that are still on their way; shards then fetch what they miss from the store."""


@dataclass(frozen=True, slots=True)
class Fitting:
    """A committed round with statistics that fit it, and what it took to get them."""

    record: Round
    statistics: RoundStatistics | None
    """None if the job keeps none, or the round has no members or too many."""
    work: Work = field(default_factory=Work)
    computed: bool = False
    """Whether shards computed them just now."""


class Statistics:
    """Has shards compute the statistics of rounds. Safe to share between threads."""

    def __init__(self, rounds: Rounds, backends: Backends) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._bases = rounds.bases
        self._records = rounds.records
        self._backends = backends

    def compute(self, job: Job, record: Round) -> tuple[RoundStatistics | None, Work]:
        """Return the statistics of a round's members, and the work of the shards that computed them.

        The statistics are None if the job keeps none, or if the round has no members or more than `MOST_EXACT`. Errors
        are those of `Backends.ask_slices`, and of a shard that is asked.
        """
        members = _rows(job, record)
        if job.statistics is StatisticsMode.OFF or not 0 < len(members) <= MOST_EXACT:
            return None, Work()
        refs = tuple(
            MemberRef.of(record.number, member, job.is_delta(member.client, record.updates)) for member in members
        )
        base = self._records.locate_base(job, record)

        def ask(held: HeldSlice) -> tuple[RoundStatistics, Work]:
            return self._backends.shards.statistics(held.urls, StatisticsRequest(held.part, refs, base))

        self._backends.outbox.settle(job.id, SETTLE_S)
        answers = self._backends.ask_slices(job, ask)
        statistics = RoundStatistics.add_up([part for part, _ in answers])
        hashes = tuple(member.sha256 for member in members)
        if record.base_sha256 != "":  # what the record does not say is not said here either
            statistics = replace(statistics, base=base.sha256 if base else None)
        return replace(statistics, hashes=hashes), sum((work for _, work in answers), Work())

    def repair(self, job: Job, record: Round, statistics: RoundStatistics | None) -> Fitting:
        """Return a committed round with `statistics` if they fit it; with others if they do not, which are stored.

        Args:
            record: with the base that it has now, as `Bases.settle` returns it.
        """
        if _fit(job, record, statistics):
            return Fitting(record, statistics)
        while True:
            with self._records.current(job):
                stored, etag = self._records.read_statistics(job, record.number)
                record = self._read_record(job, record.number, stored)
                try:
                    fitting = Fitting(record, stored) if _fit(job, record, stored) else self._repair(job, record, etag)
                except (PreconditionFailed, NotFound):
                    if self._records.read_statistics(job, record.number)[1] == etag:
                        raise  # nobody else has changed anything
                    continue
                self._records.remember_statistics(job, record, fitting.statistics)
                return fitting

    def _read_record(self, job: Job, number: int, stored: RoundStatistics | None) -> Round:
        """Take step 2: return a round's record as it is in the store, with the base that it has now."""
        index = self._catalog.read_index(job.id)
        record = self._records.read_record_now(job, number)
        settled = self._bases.settle(index, record)
        if stored and stored.base and stored.base != settled.base_sha256:
            # Perhaps another gateway knows of an aggregate that this one has not heard of.
            settled = self._bases.settle(self._catalog.newer_index(index), record)
        return settled

    def _repair(self, job: Job, record: Round, etag: str | None) -> Fitting:
        """Take step 3; raise `PreconditionFailed` or `NotFound` if the round was changed since step 1."""
        statistics, work = self.compute(job, record)
        assert statistics is not None, "a round without statistics fits any"
        with suppress(StoreUnavailable):  # a store that takes nothing still lets questions be answered
            key = layout.statistics(job.home, record.number)
            self._store.put(key, statistics.to_bytes(), if_none_match=etag is None, if_match=etag)
            self._rounds.require(job)
        return Fitting(record, statistics, work, computed=True)


def _fit(job: Job, record: Round, statistics: RoundStatistics | None) -> bool:
    """Return whether statistics are those of a round's models; None fits a round that has none."""
    rows = _rows(job, record)
    if job.statistics is StatisticsMode.OFF or not 0 < len(rows) <= MOST_EXACT:
        return True
    if statistics is None or statistics.members != tuple(member.client for member in rows):
        return False
    if statistics.base != record.base_sha256:
        return False
    return not statistics.hashes or statistics.hashes == tuple(member.sha256 for member in rows)


def _rows(job: Job, record: Round) -> list[Member]:
    """Return what each row of a round's statistics stands for: the updates, and last the aggregate if there is one.

    An aggregate beside differences from a model that is not stored has no row: nobody knows how far it moved.
    """
    comparable = job.updates_of(record.updates) is Updates.WEIGHTS or record.base is not None
    return [*record.members, *([record.aggregate] if record.aggregate and comparable else [])]
