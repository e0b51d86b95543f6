"""Counters of a cache, one set for each access pattern."""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Tally:
    """What happened to the requests of one pattern and to the objects cached for it."""

    requests: int = 0
    hits: int = 0
    """Requests of which every key was cached."""
    keys: int = 0
    key_hits: int = 0
    bytes_hit: int = 0
    bytes_missed: int = 0
    """Bytes that were fetched because a request missed them."""
    evictions: int = 0
    """Objects that left: what the policy evicted, and also what was discarded, being erased, deleted or replaced. The
    ledger's `eviction_reasons` tell them apart."""
    prefetches: int = 0
    prefetches_used: int = 0
    """Prefetched objects that a request read before they left."""
    prefetches_wasted: int = 0
    """Prefetched objects that left unread."""

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(*(getattr(self, field.name) + getattr(other, field.name) for field in fields(self)))

    def to_json(self) -> dict[str, int | float]:
        """Return the counters and the rates, from 0 to 1; the rate of no requests is 0."""
        counters: dict[str, int | float] = {field.name: getattr(self, field.name) for field in fields(self)}
        return counters | {
            "hit_rate": _rate(self.hits, self.requests),
            "key_hit_rate": _rate(self.key_hits, self.keys),
            "byte_hit_rate": _rate(self.bytes_hit, self.bytes_hit + self.bytes_missed),
        }


def _rate(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
