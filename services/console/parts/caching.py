"""What memory does, out of what `AsyncFLStore.cache` returns: how full it is, and how often requests find all there."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.patterns import Pattern

Shown = Mapping[str, Any]

PATTERNS: Mapping[Pattern, str] = {
    Pattern.P1: "one model",
    Pattern.P2: "a round's updates",
    Pattern.P3: "one client's updates",
    Pattern.P4: "metadata",
}
"""What requests of each access pattern read."""


@dataclass(frozen=True)
class Backend:
    """One shard or predictor."""

    name: str
    state: str
    starts: int
    used_bytes: int | None
    """None at zero, where nothing is in memory, and for a backend that did not tell."""
    budget_bytes: int | None
    inventory: Shown

    @property
    def at_zero(self) -> bool:
        return self.state == "zero"


def backends(cache: Shown) -> list[Backend]:
    return [_backend(row, row.get("inventory") or {}) for row in cache["shards"]]


def _backend(row: Shown, inventory: Shown) -> Backend:
    used, budget = inventory.get("used_bytes"), inventory.get("budget_bytes")
    return Backend(row["shard"], row["state"], row.get("starts", 0), used, budget, inventory)


def hit_rate(counters: Iterable[Shown]) -> float | None:
    """Return the share of requests that found all they need in memory, over several caches; None without requests."""
    requests = hits = 0
    for each in counters:
        requests, hits = requests + each["requests"], hits + each["hits"]
    return hits / requests if requests else None


def by_pattern(inventories: Sequence[Shown]) -> dict[str, float | None]:
    """Return the hit rate of each access pattern, over several caches."""
    return {
        PATTERNS[pattern]: hit_rate(each[pattern] for each in inventories if pattern in each) for pattern in Pattern
    }


def rivals(inventories: Sequence[Shown]) -> dict[str, float | None]:
    """Return by policy what share of requests would have been hits, ours first, over the shards that are awake."""
    names = sorted({name for each in inventories for name in each.get("shadows", {})})
    ours = {each["policy"]: hit_rate(other["overall"] for other in inventories) for each in inventories[:1]}
    tallies = {name: [each.get("shadows", {}).get(name, {}) for each in inventories] for name in names}
    return ours | {
        name: hit_rate(each for by in patterns for each in by.values()) for name, patterns in tallies.items()
    }


def evictions(inventories: Sequence[Shown]) -> dict[str, int]:
    """Return how many objects were evicted, by reason, most first."""
    counts: dict[str, int] = {}
    for each in inventories:
        for reason, count in each.get("eviction_reasons", {}).items():
            counts[reason] = counts.get(reason, 0) + count
    return dict(sorted(counts.items(), key=lambda item: -item[1]))
