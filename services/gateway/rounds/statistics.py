"""Statistics of rounds for which the store has none: open ones, and committed ones whose stored statistics are wrong.

Each shard keeps its slice's part of an open round's statistics and brings it up to date when it is asked. A Gram
matrix of the whole parameter vector is the sum of those of its slices, so the parts add up exactly: with the updates
(1, 2) and (3, 4) cut into two slices, the first shard answers ((1, 3), (3, 9)), the second ((4, 8), (8, 16)), and their
sum ((5, 11), (11, 25)) is what the whole vectors give.
"""

from flstore_core.records import Job, Member, Round, StatisticsMode
from flstore_core.shard.protocol import MemberRef, StatisticsRequest, Work
from flstore_core.statistics import RoundStatistics
from services.gateway.backends.slices import Backends, HeldSlice
from services.gateway.rounds.records import Records


class Statistics:
    """Has shards work out rounds' statistics. Safe to share between threads."""

    def __init__(self, records: Records, backends: Backends) -> None:
        self._records = records
        self._backends = backends

    def compute(self, job: Job, record: Round) -> tuple[RoundStatistics | None, Work]:
        """Return the statistics of a round's members; None if the job keeps none or the round has no members."""
        members = _models(record)
        if job.statistics is StatisticsMode.OFF or not members:
            return None, Work()
        refs = tuple(MemberRef.of(record.number, member) for member in members)
        base = self._records.locate_base(job.id, record)

        def ask(held: HeldSlice) -> tuple[RoundStatistics, Work]:
            return self._backends.shards.statistics(held.urls, StatisticsRequest(held.part, refs, base))

        answers = self._backends.ask_slices(job, ask)
        statistics = RoundStatistics.add_up([part for part, _ in answers])
        return statistics, sum((work for _, work in answers), Work())

    def repair(
        self, job: Job, record: Round, statistics: RoundStatistics | None
    ) -> tuple[RoundStatistics | None, Work]:
        """Return a committed round's `statistics`, or compute and cache them if they are not those of its members.

        They differ where two gateways committed the round at once, or while a client is being erased from it.
        """
        members = tuple(member.client for member in _models(record))
        if job.statistics is StatisticsMode.OFF or not members or (statistics and statistics.members == members):
            return statistics, Work()
        statistics, work = self.compute(job, record)
        self._records.remember(job.id, record, statistics)
        return statistics, work


def _models(record: Round) -> list[Member]:
    """Return a round's updates and then its aggregate: the rows of its statistics."""
    return [*record.members, *([record.aggregate] if record.aggregate else [])]
