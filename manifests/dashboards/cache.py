"""Does the cache hold what is asked for, and would another policy do better?"""

from manifests.dashboards.base import Dashboard, Panel, Query, Threshold, Unit

CACHE = Dashboard(
    slug="cache",
    title="Cache",
    description="Hit rate by pattern and policy, shadow caches, evictions, prefetch use.",
    panels=(
        Panel(
            "Hit rate by access pattern",
            "Share of requests of which every slice was cached: P1 one model, P2 a round, P3 a client, P4 metadata.",
            Unit.RATIO,
            (
                Query(
                    "sum by (pattern, policy) (rate(flstore_cache_hits_total[$__rate_interval]))"
                    " / sum by (pattern, policy) (rate(flstore_cache_requests_total[$__rate_interval]))",
                    "{{pattern}} {{policy}}",
                ),
            ),
            Threshold(warn=0.9, bad=0.5, falling=True),
        ),
        Panel(
            "What other policies would have hit",
            "Shadow caches in each shard hold keys and sizes only and see the same requests. A rival that stays above"
            " the policy in charge is worth a try (`shards.policy`).",
            Unit.RATIO,
            (
                Query(
                    "sum by (policy) (rate(flstore_cache_shadow_hits_total[$__rate_interval]))"
                    " / sum by (policy) (rate(flstore_cache_shadow_requests_total[$__rate_interval]))",
                    "{{policy}} (shadow)",
                ),
                Query(
                    "sum by (policy) (rate(flstore_cache_hits_total[$__rate_interval]))"
                    " / sum by (policy) (rate(flstore_cache_requests_total[$__rate_interval]))",
                    "{{policy}} (in charge)",
                ),
            ),
        ),
        Panel(
            "Occupancy",
            "Bytes held and the budget, by shard. Full is normal: that is what a budget is for.",
            Unit.BYTES,
            (
                Query("sum by (shard) (flstore_cache_used_bytes)", "{{shard}}"),
                Query("sum by (shard) (flstore_cache_budget_bytes)", "{{shard}} budget"),
            ),
        ),
        Panel(
            "Evictions by reason",
            "Objects that made room, a second, by what the policy said.",
            Unit.PER_SECOND,
            (Query("sum by (reason) (rate(flstore_cache_evictions_total[$__rate_interval]))", "{{reason}}"),),
            stacked=True,
        ),
        Panel(
            "Bytes served and fetched",
            "Bytes that requests found in memory, and bytes they had to wait for from the object store.",
            Unit.BYTES_PER_SECOND,
            (
                Query("sum(rate(flstore_cache_hit_bytes_total[$__rate_interval]))", "from memory"),
                Query("sum(rate(flstore_cache_miss_bytes_total[$__rate_interval]))", "from the store"),
            ),
        ),
        Panel(
            "Prefetches used",
            "Share of prefetched objects that a request then read. Below a half, prefetching costs more than it helps.",
            Unit.RATIO,
            (
                Query(
                    "sum(flstore_cache_prefetches_used_total)"
                    " / (sum(flstore_cache_prefetches_used_total) + sum(flstore_cache_prefetches_wasted_total) > 0)"
                    " or vector(1)",
                    "used",
                ),
            ),
            Threshold(warn=0.8, bad=0.5, falling=True),
        ),
        Panel(
            "Prefetches",
            "Objects fetched before they were asked for, and what became of them, a second.",
            Unit.PER_SECOND,
            (
                Query("sum(rate(flstore_cache_prefetches_total[$__rate_interval]))", "fetched"),
                Query("sum(rate(flstore_cache_prefetches_used_total[$__rate_interval]))", "used"),
                Query("sum(rate(flstore_cache_prefetches_wasted_total[$__rate_interval]))", "left unread"),
            ),
        ),
        Panel(
            "Records and statistics in gateways",
            "Hit rate of the gateways' own cache, whose answers wake no shard. Below 0.9 for long, raise"
            " `gateway.recordsBytes`.",
            Unit.RATIO,
            (
                Query(
                    "sum by (pattern) (rate(flstore_records_hits_total[$__rate_interval]))"
                    " / sum by (pattern) (rate(flstore_records_requests_total[$__rate_interval]))",
                    "{{pattern}}",
                ),
            ),
            Threshold(warn=0.9, bad=0.5, falling=True),
        ),
    ),
)
