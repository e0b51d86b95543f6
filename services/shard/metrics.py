"""Every metric of a shard and its labels. Values are read from the engine when they are scraped."""

from collections.abc import Iterator
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from flstore_core.patterns import Pattern
from flstore_core.shard import Engine

BY_PATTERN = {
    "flstore_cache_requests": ("requests", "Requests of the cache"),
    "flstore_cache_hits": ("hits", "Requests of which every key was cached"),
    "flstore_cache_keys": ("keys", "Keys asked for"),
    "flstore_cache_key_hits": ("key_hits", "Keys asked for that were cached"),
    "flstore_cache_hit_bytes": ("bytes_hit", "Bytes served from the cache"),
    "flstore_cache_miss_bytes": ("bytes_missed", "Bytes fetched from the store on demand"),
    "flstore_cache_prefetches": ("prefetches", "Objects fetched before they were asked for"),
    "flstore_cache_prefetches_used": ("prefetches_used", "Prefetched objects that a request then read"),
    "flstore_cache_prefetches_wasted": ("prefetches_wasted", "Prefetched objects that left unread"),
}
"""Counter name → (field of a tally, help)."""


class EngineCollector(Collector):
    """Reads an engine's counters."""

    def __init__(self, engine: Engine, shard: str) -> None:
        self._engine = engine
        self._shard = shard

    def collect(self) -> Iterator[Metric]:
        snapshot = self._engine.inventory()
        yield self._gauge("flstore_cache_budget_bytes", "Budget of the cache", snapshot["budget_bytes"])
        yield self._gauge("flstore_cache_used_bytes", "Bytes held", snapshot["used_bytes"])
        yield self._gauge("flstore_cache_objects", "Objects held", snapshot["objects"])
        for name, (field, text) in BY_PATTERN.items():
            family = CounterMetricFamily(name, text, labels=["shard", "policy", "pattern"])
            for pattern in Pattern:
                family.add_metric([self._shard, snapshot["policy"], pattern], snapshot[pattern.value][field])
            yield family
        yield self._evictions(snapshot)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["shard"])
        family.add_metric([self._shard], value)
        return family

    def _evictions(self, snapshot: dict[str, Any]) -> Metric:
        family = CounterMetricFamily("flstore_cache_evictions", "Objects evicted", labels=["shard", "policy", "reason"])
        for reason, count in snapshot["eviction_reasons"].items():
            family.add_metric([self._shard, snapshot["policy"], reason], count)
        return family


def registry_of(engine: Engine, shard: str) -> CollectorRegistry:
    """Return a registry with a shard's metrics alone."""
    registry = CollectorRegistry()
    registry.register(EngineCollector(engine, shard))
    return registry
