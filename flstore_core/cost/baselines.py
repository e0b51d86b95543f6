"""What the baselines cost: an aggregator on a machine of its own, alone or with a cache node in front of the store.

A single request is priced by the time for which it keeps the machine busy, as the published code does. That time is
taken as the transfer alone, over as many streams as the machine's network carries, so it is less than a real
aggregator needs. What one really pays for is the machine's hours (`objstore_hour`, `cache_hour`).
"""

import math
from dataclasses import dataclass

from flstore_core.cost.bill import Bill
from flstore_core.cost.prices import AWS, CacheNode, Prices
from flstore_core.errors import InvalidParameters

STREAMS = 16
"""Objects read at once."""
MACHINE_BYTES_PER_S = 1.25e9
"""Network of the aggregator's machine: 10 Gbit/s."""


@dataclass(frozen=True, slots=True)
class Link:
    """A way from data to the aggregator."""

    first_byte_s: float
    stream_bytes_per_s: float

    def seconds(self, objects: int, nbytes: float) -> float:
        """Return how long `objects` of together `nbytes` take, `STREAMS` at a time."""
        if not objects:
            return 0.0
        turns = math.ceil(objects / STREAMS)
        together = min(min(objects, STREAMS) * self.stream_bytes_per_s, MACHINE_BYTES_PER_S)
        return turns * self.first_byte_s + nbytes / together


OBJECT_STORE = Link(0.020, 90e6)
MEMORY_CACHE = Link(0.0005, 1.2e9)


@dataclass(frozen=True, slots=True)
class Reads:
    """What a request has to read where nothing of it is at hand."""

    objects: int = 0
    """Whole models."""
    nbytes: int = 0
    """Their bytes."""
    records: int = 0
    """Small records beside them."""

    def __add__(self, other: "Reads") -> "Reads":
        return Reads(self.objects + other.objects, self.nbytes + other.nbytes, self.records + other.records)


def objstore_request(reads: Reads, compute_s: float = 0.0, prices: Prices = AWS) -> Bill:
    """Return what a request costs that reads all it needs from the object store."""
    busy = _busy(reads, OBJECT_STORE) + compute_s
    gets = (reads.objects + reads.records) * prices.store_get.dollars
    return Bill(compute=_hours(busy, prices.aggregator_hour.dollars), requests=gets)


def cache_request(reads: Reads, cache_bytes: int, compute_s: float = 0.0, prices: Prices = AWS) -> Bill:
    """Return what a request costs that finds all it needs in a cache of `cache_bytes`."""
    hour = prices.aggregator_hour.dollars + cache_node_for(cache_bytes, prices).hour.dollars
    return Bill(compute=_hours(_busy(reads, MEMORY_CACHE) + compute_s, hour))


def objstore_hour(prices: Prices = AWS) -> Bill:
    """Return what the aggregator costs for an hour, busy or not."""
    return Bill(compute=prices.aggregator_hour.dollars)


def cache_hour(cache_bytes: int, prices: Prices = AWS) -> Bill:
    """Return what the aggregator and its cache cost for an hour, busy or not."""
    return objstore_hour(prices) + Bill(compute=cache_node_for(cache_bytes, prices).hour.dollars)


def cache_node_for(cache_bytes: int, prices: Prices = AWS) -> CacheNode:
    """Return the cheapest node that holds `cache_bytes`.

    Raises:
        InvalidParameters: if the largest one does not.
    """
    for node in prices.cache_nodes:
        if cache_bytes <= node.gib * 2**30:
            return node
    largest = prices.cache_nodes[-1]
    raise InvalidParameters(
        f"no cache node has {cache_bytes} bytes; the largest, {largest.name}, has {largest.gib} GiB"
    )


def _busy(reads: Reads, link: Link) -> float:
    return link.seconds(reads.records, 0.0) + link.seconds(reads.objects, reads.nbytes)


def _hours(seconds: float, dollars_per_hour: float) -> float:
    return seconds / 3600.0 * dollars_per_hour
