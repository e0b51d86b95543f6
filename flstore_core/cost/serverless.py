"""What FLStore costs: as functions, billed while they work, and as pods on rented nodes, billed while they live.

Example (`tests/cost/test_serverless.py` runs it): a gateway of 0.5 GB works for 2 s, shards work for 9 GB-seconds, and
there are a million invocations. As functions that is 2 * 0.5 + 9 = 10 GB-seconds at $0.0000166667, together $0.000167,
and $0.20 for the invocations.
"""

from dataclasses import dataclass

from flstore_core.cost.bill import Bill
from flstore_core.cost.prices import AWS, Prices

GATEWAY_GB = 0.5
"""Memory that a gateway reserves, in GB."""
GATEWAY_CPUS = 0.25
"""CPUs that the gateway and the placement controller reserve together."""
CACHE_SHARE = 0.6
"""Share of a shard's memory that its cache may take; the interpreter and the computations need the rest."""
HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What some work used."""

    gateway_s: float = 0.0
    """Seconds of a gateway, including those in which it waits: functions are billed for them too."""
    shard_gb_s: float = 0.0
    """GB-seconds of shards: their memory times the seconds they worked."""
    invocations: int = 0
    gets: int = 0
    puts: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.gateway_s + other.gateway_s,
            self.shard_gb_s + other.shard_gb_s,
            self.invocations + other.invocations,
            self.gets + other.gets,
            self.puts + other.puts,
        )


def shard_gb(cache_bytes: int) -> float:
    """Return the memory, in GB, of a shard whose cache has a budget of `cache_bytes`."""
    return cache_bytes / CACHE_SHARE / 1e9


def lambda_bill(usage: Usage, prices: Prices = AWS) -> Bill:
    """Return what `usage` costs if gateway and shards are functions, billed for the time in which they work."""
    gb_s = usage.gateway_s * GATEWAY_GB + usage.shard_gb_s
    requests = (
        usage.invocations * prices.function_request.dollars
        + usage.gets * prices.store_get.dollars
        + usage.puts * prices.store_put.dollars
    )
    return Bill(compute=gb_s * prices.function_gb_second.dollars, requests=requests)


def node_bill(awake_s: float, cpus: float, gib: float, prices: Prices = AWS) -> Bill:
    """Return what a pod of `cpus` and `gib` of memory costs for the seconds it lives, idle or not."""
    hour = cpus * prices.node_cpu_hour.dollars + gib * prices.node_gib_hour.dollars
    return Bill(compute=awake_s / 3600.0 * hour)


def idle_hour_bill(prices: Prices = AWS) -> Bill:
    """Return what an hour without requests costs: shards are at zero, the gateway and the controller stay."""
    return node_bill(3600.0, GATEWAY_CPUS, GATEWAY_GB, prices)


def storage_bill(nbytes: float, hours: float, prices: Prices = AWS) -> Bill:
    """Return what it costs to keep `nbytes` in the object store for some hours."""
    return Bill(storage=nbytes / 1e9 * hours / HOURS_PER_MONTH * prices.store_gb_month.dollars)
