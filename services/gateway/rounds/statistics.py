"""Computes statistics that the store does not have: those of open rounds, and those that do not match their round.

Each shard computes the statistics of its slice. The Gram matrix of whole parameter vectors is the sum of the Gram
matrices of their slices, so the parts add up exactly.

Example: the updates are (1, 2) and (3, 4), cut into two slices of one number. The shard of the first slice has 1 and
3 and answers ((1, 3), (3, 9)). The shard of the second has 2 and 4 and answers ((4, 8), (8, 16)). The sum is
((5, 11), (11, 25)), the inner products of the whole vectors.
"""

from flstore_core.records import Job, Member, Round, StatisticsMode, Updates
from flstore_core.shard.protocol import MemberRef, StatisticsRequest, Work
from flstore_core.statistics import MOST_EXACT, RoundStatistics
from services.gateway.backends.slices import Backends, HeldSlice
from services.gateway.rounds.records import Records

SETTLE_S = 5.0
"""Longest wait, in seconds, for slices that are still on their way; shards then fetch what they miss from the store."""


class Statistics:
    """Has shards compute the statistics of rounds. Safe to share between threads."""

    def __init__(self, records: Records, backends: Backends) -> None:
        self._records = records
        self._backends = backends

    def compute(self, job: Job, record: Round) -> tuple[RoundStatistics | None, Work]:
        """Return the statistics of a round's members, and the work of the shards that computed them.

        The statistics are None if the job keeps none, or if the round has no members or more than `MOST_EXACT`. Errors
        are those of `Backends.ask_slices`, and of a shard that is asked.
        """
        members = _rows(job, record)
        if job.statistics is StatisticsMode.OFF or not 0 < len(members) <= MOST_EXACT:
            return None, Work()
        refs = tuple(MemberRef.of(record.number, member, job.is_delta(member.client)) for member in members)
        base = self._records.locate_base(job, record)

        def ask(held: HeldSlice) -> tuple[RoundStatistics, Work]:
            return self._backends.shards.statistics(held.urls, StatisticsRequest(held.part, refs, base))

        self._backends.outbox.settle(job.id, SETTLE_S)
        answers = self._backends.ask_slices(job, ask)
        statistics = RoundStatistics.add_up([part for part, _ in answers])
        return statistics, sum((work for _, work in answers), Work())

    def repair(
        self, job: Job, record: Round, statistics: RoundStatistics | None
    ) -> tuple[RoundStatistics | None, Work]:
        """Return a committed round's `statistics`; compute and cache new ones if they do not match its members.

        They do not match after several commits raced, or while a client is being erased.
        """
        members = tuple(member.client for member in _rows(job, record))
        if job.statistics is StatisticsMode.OFF or not members or (statistics and statistics.members == members):
            return statistics, Work()
        statistics, work = self.compute(job, record)
        self._records.remember_statistics(job, record, statistics)
        return statistics, work


def _rows(job: Job, record: Round) -> list[Member]:
    """Return what each row of a round's statistics stands for: the updates, and last the aggregate if there is one.

    An aggregate beside differences from a model that is not stored has no row: nobody knows how far it moved.
    """
    comparable = job.updates is Updates.WEIGHTS or record.base is not None
    return [*record.members, *([record.aggregate] if record.aggregate and comparable else [])]
