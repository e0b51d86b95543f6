"""What FLStore costs: as functions billed while they work, and as pods on rented nodes, billed while they live."""

from dataclasses import dataclass

from flstore_core.cost.bill import Bill
from flstore_core.cost.prices import AWS, Prices

GATEWAY_GB = 0.5
"""Memory that a gateway reserves, in GB."""
GATEWAY_CPUS = 0.25
"""CPUs that an idle gateway and the placement controller reserve together."""
CACHE_SHARE = 0.6
"""Most of a shard's memory that its cache takes; the rest is the interpreter's and the computations'."""
HOURS_PER_MONTH = 730.0


@dataclass(frozen=True, slots=True)
class Usage:
    """What some work really used."""

    gateway_s: float = 0.0
    """Seconds of a gateway, waiting included: functions are billed for that too."""
    shard_gb_s: float = 0.0
    """Memory of shards times the seconds they worked."""
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
    """Return what `usage` costs where gateway and shards are functions, billed for the time in which they work."""
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


def node_idle_hour(prices: Prices = AWS) -> Bill:
    """Return what an hour costs in which nobody asks: shards are at zero, gateway and controller stay."""
    return node_bill(3600.0, GATEWAY_CPUS, GATEWAY_GB, prices)


def stored(nbytes: float, hours: float, prices: Prices = AWS) -> Bill:
    """Return what `nbytes` in the object store cost for some hours."""
    return Bill(storage=nbytes / 1e9 * hours / HOURS_PER_MONTH * prices.store_gb_month.dollars)
