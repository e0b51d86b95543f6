"""What the baselines cost: an aggregator on a machine of its own, alone or with a cache node in front of the store.

A single request is priced by the time for which it keeps the machine busy, as FLStore's published code does
(arXiv:2503.00323). That time is assumed to be the transfer alone, over as many streams as the machine's network
carries: less than a real aggregator needs. What the owner of the machine pays for is its hours (`objstore_hour_bill`,
`cache_hour_bill`).

Example (`tests/cost/test_baselines.py` runs it): ten models of 90 MB from the object store. They fit into one turn of
16 streams: 0.02 s to the first byte, then 90 MB at 90 MB/s in each stream, together 1.02 s. At $0.922 an hour that is
1.02 / 3600 * 0.922 = $0.000261, and ten GETs at $0.0004 a thousand cost $0.000004.
"""

import math
from dataclasses import dataclass

from flstore_core.cost.bill import Bill
from flstore_core.cost.prices import AWS, CacheNode, Prices
from flstore_core.errors import InvalidParameters

STREAMS = 16
"""Objects that an aggregator reads at once."""
MACHINE_BYTES_PER_S = 1.25e9
"""Network bandwidth of the aggregator's machine: 10 Gbit/s."""


@dataclass(frozen=True, slots=True)
class Link:
    """A connection from data to the aggregator."""

    first_byte_s: float
    """Seconds from a request to the first byte."""
    stream_bytes_per_s: float
    """Bandwidth of one stream."""

    def seconds(self, objects: int, nbytes: float) -> float:
        """Return how long it takes to read `objects` that have `nbytes` together, `STREAMS` at a time."""
        if not objects:
            return 0.0
        turns = math.ceil(objects / STREAMS)
        bytes_per_s = min(min(objects, STREAMS) * self.stream_bytes_per_s, MACHINE_BYTES_PER_S)
        return turns * self.first_byte_s + nbytes / bytes_per_s


OBJECT_STORE = Link(0.020, 90e6)
MEMORY_CACHE = Link(0.0005, 1.2e9)


@dataclass(frozen=True, slots=True)
class Reads:
    """What a request has to read if none of it is cached."""

    objects: int = 0
    """Number of models."""
    nbytes: int = 0
    """Bytes of the models together."""
    records: int = 0
    """Number of small records beside them."""

    def __add__(self, other: "Reads") -> "Reads":
        return Reads(self.objects + other.objects, self.nbytes + other.nbytes, self.records + other.records)


def objstore_request_bill(reads: Reads, compute_s: float = 0.0, prices: Prices = AWS) -> Bill:
    """Return what a request costs that reads everything from the object store and computes for `compute_s` seconds."""
    busy = _busy(reads, OBJECT_STORE) + compute_s
    gets = (reads.objects + reads.records) * prices.store_get.dollars
    return Bill(compute=_hours(busy, prices.aggregator_hour.dollars), requests=gets)


def cache_request_bill(reads: Reads, cache_bytes: int, compute_s: float = 0.0, prices: Prices = AWS) -> Bill:
    """Return what a request costs that reads everything from a cache node with room for `cache_bytes`."""
    hour = prices.aggregator_hour.dollars + smallest_cache_node(cache_bytes, prices).hour.dollars
    return Bill(compute=_hours(_busy(reads, MEMORY_CACHE) + compute_s, hour))


def objstore_hour_bill(prices: Prices = AWS) -> Bill:
    """Return what the aggregator costs for an hour, busy or not."""
    return Bill(compute=prices.aggregator_hour.dollars)


def cache_hour_bill(cache_bytes: int, prices: Prices = AWS) -> Bill:
    """Return what the aggregator and its cache cost for an hour, busy or not."""
    return objstore_hour_bill(prices) + Bill(compute=smallest_cache_node(cache_bytes, prices).hour.dollars)


def smallest_cache_node(cache_bytes: int, prices: Prices = AWS) -> CacheNode:
    """Return the cheapest node that holds `cache_bytes`.

    Raises:
        InvalidParameters: if even the largest does not.
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
