"""Every metric of a cache and its labels, the same in shards and predictors. Values are read when they are scraped."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from flstore_core.patterns import Pattern

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


class CacheCollector(Collector):
    """Reads the counters of a cache, as `Cache.snapshot` or an engine's inventory has them."""

    def __init__(self, snapshot: Callable[[], Mapping[str, Any]], shard: str) -> None:
        self._snapshot = snapshot
        self._shard = shard

    def collect(self) -> Iterator[Metric]:
        snapshot = self._snapshot()
        yield self._gauge("flstore_cache_budget_bytes", "Budget of the cache", snapshot["budget_bytes"])
        yield self._gauge("flstore_cache_used_bytes", "Bytes held", snapshot["used_bytes"])
        yield self._gauge("flstore_cache_objects", "Objects held", snapshot["objects"])
        for name, (field, text) in BY_PATTERN.items():
            family = CounterMetricFamily(name, text, labels=["shard", "policy", "pattern"])
            for pattern in Pattern:
                family.add_metric([self._shard, snapshot["policy"], pattern], snapshot[pattern.value][field])
            yield family
        yield self._evictions(snapshot)
        yield from self._shadows(snapshot)

    def _gauge(self, name: str, text: str, value: float) -> Metric:
        family = GaugeMetricFamily(name, text, labels=["shard"])
        family.add_metric([self._shard], value)
        return family

    def _evictions(self, snapshot: Mapping[str, Any]) -> Metric:
        family = CounterMetricFamily("flstore_cache_evictions", "Objects evicted", labels=["shard", "policy", "reason"])
        for reason, count in snapshot["eviction_reasons"].items():
            family.add_metric([self._shard, snapshot["policy"], reason], count)
        return family

    def _shadows(self, snapshot: Mapping[str, Any]) -> Iterator[Metric]:
        for field in ("requests", "hits"):
            family = CounterMetricFamily(
                f"flstore_cache_shadow_{field}",
                f"What would have been {field} under another policy",
                labels=["shard", "policy", "pattern"],
            )
            for policy, tallies in snapshot.get("shadows", {}).items():
                for pattern in Pattern:
                    family.add_metric([self._shard, policy, pattern], tallies[pattern.value][field])
            yield family


def registry_of(snapshot: Callable[[], Mapping[str, Any]], shard: str) -> CollectorRegistry:
    """Return a registry with one cache's metrics alone."""
    registry = CollectorRegistry()
    registry.register(CacheCollector(snapshot, shard))
    return registry
