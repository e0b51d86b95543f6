"""One request priced here and, for what it would have had to read, at both baselines."""

from dataclasses import dataclass

from flstore_core.cost.baselines import Reads, cache_request, objstore_request
from flstore_core.cost.bill import Bill
from flstore_core.cost.prices import AWS, Prices
from flstore_core.cost.serverless import Usage, lambda_bill


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What a request cost, and would have cost elsewhere."""

    ours: Bill
    objstore: Bill
    """An aggregator that reads from the object store."""
    cache: Bill
    """An aggregator that finds everything in an in-memory cache."""

    def to_json(self) -> dict[str, float]:
        return {
            **self.ours.to_json(),
            "objstore_dollars": self.objstore.total,
            "cache_dollars": self.cache.total,
        }


def request_cost(usage: Usage, reads: Reads, cache_bytes: int, prices: Prices = AWS) -> RequestCost:
    """Return the price of a request in all three systems.

    Args:
        usage: what it used here.
        reads: what an aggregator would have read for it.
        cache_bytes: size of the baseline's cache: that of all shards together.
    """
    return RequestCost(
        lambda_bill(usage, prices),
        objstore_request(reads, prices=prices),
        cache_request(reads, cache_bytes, prices=prices),
    )
