"""What requests cost, priced as they are answered: here, and at an aggregator that would have read what they needed."""

from collections.abc import Sequence
from dataclasses import replace

from flstore_core.cost import Bill, Reads, RequestCost, Usage, lambda_bill, price_request
from flstore_core.cost.serverless import shard_gb
from flstore_core.workloads import Context, Needs, RoundData
from services.gateway.answers.execution import Execution
from services.gateway.backends.placement import Placement

INGEST_PUTS = 2
"""Writes to the store for a model: its tensors, its record."""
COMMIT_PUTS = 3
"""Writes to the store for a commit: that it began, the statistics, the record."""


class Pricing:
    """Prices work by the shards there are."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def price(self, execution: Execution, reads: Reads) -> Execution:
        """Return `execution` with its cost."""
        work = execution.work
        shard_s = work.fetch_s + work.compute_s
        usage = Usage(
            gateway_s=execution.total_seconds,
            shard_gb_s=shard_s * self._mean_shard_gb,
            invocations=1 + execution.slices,
            gets=work.misses,
        )
        return replace(execution, cost=price_request(usage, reads, sum(self._budgets)))

    def price_again(self, execution: Execution, earlier: RequestCost | None) -> Execution:
        """Return an `execution` that gave an earlier answer again, with its cost; elsewhere it costs what it cost."""
        again = self.price(execution, Reads()).cost
        return (
            execution
            if again is None or earlier is None
            else replace(execution, cost=replace(earlier, ours=again.ours))
        )

    def price_ingest(self, seconds: float, puts: int) -> Bill:
        """Return what taking in a model, or closing a round, costs: gateway and shards are busy for all its `seconds`,
        which is more than they are, and statistics are part of that.
        """
        shards = seconds * sum(map(shard_gb, self._budgets))
        invocations = 1 + len(self._budgets)
        return lambda_bill(Usage(gateway_s=seconds, shard_gb_s=shards, invocations=invocations, puts=puts))

    @property
    def _budgets(self) -> Sequence[int]:
        return [shard.cache_bytes for shard in self._placement.table.shards.values()]

    @property
    def _mean_shard_gb(self) -> float:
        budgets = self._budgets
        return shard_gb(sum(budgets) // len(budgets)) if budgets else 0.0


def aggregator_reads(needs: Needs, context: Context) -> Reads:
    """Return what an aggregator would have to read for a request over the rounds of `context`."""
    records = len(context.rounds)
    if needs is Needs.STATISTICS:
        objects = sum(map(_models, context.rounds))
    elif needs is Needs.METADATA:
        objects = 0
    else:
        objects = len(context.members) or len(context.models)
    return Reads(objects, objects * context.job.schema.nbytes, records)


def _models(round_: RoundData) -> int:
    """Return the number of a round's models, the base of its deltas included."""
    record = round_.record
    return len(record.members) + (record.aggregate is not None) + (record.base is not None)
