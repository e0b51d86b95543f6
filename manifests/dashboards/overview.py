"""Is it well, and how much of it is awake?"""

from manifests.dashboards.base import Dashboard, Kind, Panel, Query, Threshold, Unit

OVERVIEW = Dashboard(
    slug="overview",
    title="Overview",
    description="Requests, latency by workload, errors, shards awake, bytes hot.",
    panels=(
        Panel(
            "Requests",
            "Requests a second that gateways answered, scrapes and probes left out.",
            Unit.REQUESTS_PER_SECOND,
            (Query('sum(rate(flstore_requests_total{route!~"/metrics|/healthz|/readyz"}[$__rate_interval]))'),),
            kind=Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Failed",
            "Share of requests answered with a 5xx. Refusals of the caller's own making (4xx) do not count.",
            Unit.RATIO,
            (
                Query(
                    '(sum(rate(flstore_requests_total{status=~"5.."}[$__rate_interval])) or vector(0))'
                    " / sum(rate(flstore_requests_total[$__rate_interval]))"
                ),
            ),
            Threshold(warn=0.001, bad=0.01),
            Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Shards awake",
            "Shards that have a process at this moment. None is normal when nothing is asked.",
            Unit.COUNT,
            (Query('sum(max by (state) (flstore_placement_shards{state=~"awake|starting"}))'),),
            kind=Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Bytes hot",
            "Bytes of models and updates in the memory of shards that are awake.",
            Unit.BYTES,
            (Query("sum(flstore_cache_used_bytes)"),),
            kind=Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Latency by workload, p50",
            "Median time of a workload inside the gateway. Answers from statistics should take a few milliseconds.",
            Unit.SECONDS,
            (
                Query(
                    "histogram_quantile(0.5,"
                    " sum by (le, workload) (rate(flstore_workload_seconds_bucket[$__rate_interval])))",
                    "{{workload}}",
                ),
            ),
        ),
        Panel(
            "Latency by workload, p99",
            "The slowest in a hundred. Above a second it is most often a shard that came from zero.",
            Unit.SECONDS,
            (
                Query(
                    "histogram_quantile(0.99,"
                    " sum by (le, workload) (rate(flstore_workload_seconds_bucket[$__rate_interval])))",
                    "{{workload}}",
                ),
            ),
            Threshold(warn=1, bad=5),
        ),
        Panel(
            "Requests by route",
            "Requests a second by the template of their path.",
            Unit.REQUESTS_PER_SECOND,
            (Query("sum by (route) (rate(flstore_requests_total[$__rate_interval]))", "{{route}}"),),
            stacked=True,
        ),
        Panel(
            "Errors by status",
            "Requests refused or failed, a second: 4xx say that the caller can mend it, 5xx that we must.",
            Unit.REQUESTS_PER_SECOND,
            (
                Query(
                    'sum by (status) (rate(flstore_requests_total{status=~"[45].."}[$__rate_interval]))', "{{status}}"
                ),
            ),
        ),
        Panel(
            "Workloads that failed",
            "By the stable code of the error.",
            Unit.PER_SECOND,
            (
                Query(
                    "sum by (workload, code) (rate(flstore_workload_errors_total[$__rate_interval]))",
                    "{{workload}}: {{code}}",
                ),
            ),
        ),
        Panel(
            "Shards by state",
            "Every shard there may be. One that stays `starting` or `leaving` is in trouble.",
            Unit.COUNT,
            (Query("max by (state) (flstore_placement_shards)", "{{state}}"),),
            stacked=True,
        ),
        Panel(
            "Ingest",
            "Bytes of updates and aggregates stored a second, by job.",
            Unit.BYTES_PER_SECOND,
            (Query("sum by (job) (rate(flstore_ingested_bytes_total[$__rate_interval]))", "{{job}}"),),
        ),
        Panel(
            "Uploads under way",
            "Bytes gateways hold for uploads; once `gateway.inFlightBytes` is reached further ones are answered 429.",
            Unit.BYTES,
            (Query("flstore_in_flight_bytes", "{{instance}}"),),
        ),
    ),
)
