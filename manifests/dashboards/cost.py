"""What does it cost, beside what an always-on aggregator would?

Prices are variables of the dashboard: the defaults are on-demand list prices of us-east-1, and yours will differ.
"""

from manifests.dashboards.base import Dashboard, Kind, Panel, Query, Threshold, Unit, Variable

OURS = (
    "((sum(rate(flstore_placement_awake_shard_seconds_total[$__rate_interval])) or vector(0))"
    " * $shard_gb * $gb_second + $always_hour / 3600)"
)
"""Dollars a second: memory of awake shards, and the parts that never sleep."""
OBJECT_STORE = "vector($aggregator_hour / 3600)"
MEMORY_CACHE = "vector(($aggregator_hour + $cache_hour) / 3600)"
REQUESTS = "sum(rate(flstore_workload_seconds_count[$__rate_interval]))"

COST = Dashboard(
    slug="cost",
    title="Cost",
    description="Dollars a request and a day, beside what both baselines would have cost.",
    panels=(
        Panel(
            "A day",
            "What a day costs at the rate of this moment: awake shards' memory, and gateway, controller and store.",
            Unit.DOLLARS,
            (Query(f"{OURS} * 86400"),),
            kind=Kind.NUMBER,
            width=8,
            height=4,
        ),
        Panel(
            "Saved against an object-store aggregator",
            "Share of that baseline's cost that is not spent: a machine that is always on and pulls from the store.",
            Unit.RATIO,
            (Query(f"1 - {OURS} / {OBJECT_STORE}"),),
            Threshold(warn=0.9, bad=0.5, falling=True),
            Kind.NUMBER,
            width=8,
            height=4,
        ),
        Panel(
            "Saved against an in-memory cache",
            "Share of that baseline's cost that is not spent: the same machine with a cache node beside it.",
            Unit.RATIO,
            (Query(f"1 - {OURS} / {MEMORY_CACHE}"),),
            Threshold(warn=0.9, bad=0.5, falling=True),
            Kind.NUMBER,
            width=8,
            height=4,
        ),
        Panel(
            "Dollars a day",
            "At the rate of each moment; the baselines cost the same whether they are asked or not.",
            Unit.DOLLARS,
            (
                Query(f"{OURS} * 86400", "FLStore"),
                Query(f"{OBJECT_STORE} * 86400", "object-store aggregator"),
                Query(f"{MEMORY_CACHE} * 86400", "in-memory cache"),
            ),
        ),
        Panel(
            "Dollars a workload request",
            "Each moment's cost over the workloads answered in it; gaps are moments without any.",
            Unit.DOLLARS,
            (
                Query(f"{OURS} / {REQUESTS}", "FLStore"),
                Query(f"{OBJECT_STORE} / {REQUESTS}", "object-store aggregator"),
                Query(f"{MEMORY_CACHE} / {REQUESTS}", "in-memory cache"),
            ),
        ),
        Panel(
            "Gigabyte-seconds awake",
            "Memory of awake shards over time, which is what functions are billed by.",
            Unit.COUNT,
            (Query("sum(rate(flstore_placement_awake_shard_seconds_total[$__rate_interval])) * $shard_gb", "GB"),),
        ),
        Panel(
            "Bytes fetched from the store on demand",
            "What the baselines fetch for every request and FLStore for misses only.",
            Unit.BYTES_PER_SECOND,
            (Query("sum(rate(flstore_cache_miss_bytes_total[$__rate_interval]))", "FLStore"),),
        ),
    ),
    variables=(
        Variable("shard_gb", "Memory of a shard, GB", "1"),
        Variable("gb_second", "$ per GB-second awake (AWS Lambda)", "0.0000166667"),
        Variable("always_hour", "$ per hour of gateway, controller and store (t3.medium)", "0.0416"),
        Variable("aggregator_hour", "$ per hour of the aggregator (ml.m5.4xlarge)", "0.922"),
        Variable("cache_hour", "$ per hour of its cache (cache.m5.xlarge)", "0.311"),
    ),
)
