"""What does it cost, beside what both baselines would have cost for the same requests?

Gateways price every request by published prices (`flstore_core.cost`) and count dollars by kind.
"""

from manifests.dashboards.base import Dashboard, Kind, Panel, Query, Threshold, Unit, Variable

REQUESTS = "sum(rate(flstore_workload_seconds_count[$__rate_interval]))"
DAY = "86400"


def _dollars(kinds: str) -> str:
    """Return the PromQL for dollars a second of these kinds, a regular expression."""
    return f'sum(rate(flstore_cost_dollars_total{{kind=~"{kinds}"}}[$__rate_interval]))'


OURS = _dollars("requests|ingest|commits")
"""Storing rounds and building their statistics counts against us."""
OBJECT_STORE = _dollars("requests_at_objstore")
MEMORY_CACHE = _dollars("requests_at_cache")

COST = Dashboard(
    slug="cost",
    title="Cost",
    description="Dollars a request and a day, beside what both baselines would have cost.",
    panels=(
        Panel(
            "A day",
            "What a day costs at the rate of this moment: requests, ingest and commits.",
            Unit.DOLLARS,
            (Query(f"{OURS} * {DAY}"),),
            kind=Kind.NUMBER,
            width=8,
            height=4,
        ),
        Panel(
            "Saved against an object-store aggregator",
            "Share of what the same requests would have cost on a machine that pulls from the object store.",
            Unit.RATIO,
            (Query(f"1 - {OURS} / {OBJECT_STORE}"),),
            Threshold(warn=0.9883, bad=0.882, falling=True),
            Kind.NUMBER,
            width=8,
            height=4,
        ),
        Panel(
            "Saved against an in-memory cache",
            "Share of what the same requests would have cost with a cache node beside that machine.",
            Unit.RATIO,
            (Query(f"1 - {OURS} / {MEMORY_CACHE}"),),
            Threshold(warn=0.9883, bad=0.882, falling=True),
            Kind.NUMBER,
            width=8,
            height=4,
        ),
        Panel(
            "Dollars a request",
            "Of one workload request; the baselines' are for the same requests.",
            Unit.DOLLARS,
            (
                Query(f"{_dollars('requests')} / {REQUESTS}", "FLStore"),
                Query(f"{OBJECT_STORE} / {REQUESTS}", "object-store aggregator"),
                Query(f"{MEMORY_CACHE} / {REQUESTS}", "in-memory cache"),
            ),
        ),
        Panel(
            "Dollars a day",
            "At the rate of each moment, ingest and commits counted against us only.",
            Unit.DOLLARS,
            (
                Query(f"{OURS} * {DAY}", "FLStore"),
                Query(f"{OBJECT_STORE} * {DAY}", "object-store aggregator"),
                Query(f"{MEMORY_CACHE} * {DAY}", "in-memory cache"),
            ),
        ),
        Panel(
            "Where the dollars go",
            "Dollars a day of answering requests, storing updates and closing rounds.",
            Unit.DOLLARS,
            (
                Query(
                    "sum by (kind) (rate("
                    f'flstore_cost_dollars_total{{kind=~"requests|ingest|commits"}}[$__rate_interval])) * {DAY}',
                    "{{kind}}",
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Memory of awake shards, dollars a day",
            "What keeping shards warm costs between requests, if memory is billed by the second as functions are.",
            Unit.DOLLARS,
            (
                Query(
                    "sum(max by (shard) (rate(flstore_placement_awake_shard_seconds_total[$__rate_interval])))"
                    f" * $shard_gb * $gb_second * {DAY}",
                    "awake",
                ),
            ),
        ),
    ),
    variables=(
        Variable("shard_gb", "Memory of a shard, GB", "1"),
        Variable("gb_second", "$ per GB-second (AWS Lambda)", "0.0000166667"),
    ),
)
