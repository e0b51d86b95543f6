"""One request priced in FLStore and, by what it would have read there, in both baselines."""

from dataclasses import dataclass

from flstore_core.cost.baselines import Reads, cache_request_bill, objstore_request_bill
from flstore_core.cost.bill import Bill
from flstore_core.cost.prices import AWS, Prices
from flstore_core.cost.serverless import Usage, lambda_bill


@dataclass(frozen=True, slots=True)
class RequestCost:
    """What a request cost here, and what it would have cost in the baselines."""

    ours: Bill
    objstore: Bill
    """An aggregator that reads from the object store."""
    cache: Bill
    """An aggregator that reads from an in-memory cache."""

    def to_json(self) -> dict[str, float]:
        """Return the fields of an answer's `cost`."""
        return {
            **self.ours.to_json(),
            "objstore_dollars": self.objstore.total,
            "cache_dollars": self.cache.total,
        }


def price_request(usage: Usage, reads: Reads, cache_bytes: int, prices: Prices = AWS) -> RequestCost:
    """Return the price of a request in all three systems.

    Args:
        usage: what the request used here.
        reads: what an aggregator would have read for it.
        cache_bytes: size of the baseline's cache; as large as all shards' caches together.
    """
    return RequestCost(
        lambda_bill(usage, prices),
        objstore_request_bill(reads, prices=prices),
        cache_request_bill(reads, cache_bytes, prices=prices),
    )
