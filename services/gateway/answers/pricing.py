"""Prices requests as they are answered: what they cost here, and at an aggregator that has to read what they need.

Example (a test runs it): two shards have 1 GB of memory each. A question takes the gateway 0.4 s. The shards of its two
slices work for 0.6 s in sum, and fetch 3 objects from the store. That is 0.4 s × 0.5 GB + 0.6 s × 1 GB = 0.8 GB-seconds
of functions ($13.33e-6), 3 invocations ($0.6e-6) and 3 GETs ($1.2e-6): $15.13e-6. The aggregator's part follows from
the models that it would have read, whatever is cached here.
"""

from collections.abc import Sequence
from dataclasses import replace

from flstore_core.cost import Bill, Reads, RequestCost, Usage, lambda_bill, price_request
from flstore_core.cost.serverless import shard_gb
from flstore_core.workloads import Context, Needs, RoundData
from services.gateway.answers.execution import Execution
from services.gateway.backends.placement import Placement

INGEST_PUTS = 2
"""Writes to the store for a model: its tensors and its record."""
COMMIT_PUTS = 3
"""Writes to the store for a commit: its mark, the statistics and the record."""


class Pricing:
    """Prices work by the memory of the shards in the placement table. Safe to share between threads."""

    def __init__(self, placement: Placement) -> None:
        self._placement = placement

    def price(self, execution: Execution, reads: Reads) -> Execution:
        """Return `execution` with its cost; `reads` is what an aggregator reads for the same answer."""
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
        """Return an `execution` that gave a kept answer again, with its cost.

        Here it cost hardly anything. An aggregator keeps no answers, so it would pay the `earlier` cost once more.
        """
        again = self.price(execution, Reads()).cost
        if again is None or earlier is None:
            return execution
        return replace(execution, cost=replace(earlier, ours=again.ours))

    def price_ingest(self, seconds: float, puts: int) -> Bill:
        """Return what it costs to ingest a model or to commit a round, its statistics included.

        This is an upper bound: it counts the gateway and every shard as busy for all of `seconds`.
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
    """Return what an aggregator reads for a question over the rounds of `context`: every model that it needs, whole."""
    records = len(context.rounds)
    if needs is Needs.STATISTICS:
        objects = sum(map(_models, context.rounds))
    elif needs is Needs.METADATA:
        objects = 0
    else:
        objects = len(context.members) or len(context.models)
    return Reads(objects, objects * context.job.schema.nbytes, records)


def _models(round_: RoundData) -> int:
    """Return the number of models that a round's deltas need: members, aggregate and base."""
    record = round_.record
    return len(record.members) + (record.aggregate is not None) + (record.base is not None)
