"""How often do shards come from zero, why, and how long do callers wait for it?"""

from manifests.dashboards.base import Dashboard, Kind, Panel, Query, Threshold, Unit

SCALE_TO_ZERO = Dashboard(
    slug="scale-to-zero",
    title="Scale to zero",
    description="Cold starts, their time by stage, awake shard-seconds, wake causes.",
    panels=(
        Panel(
            "Cold starts",
            "Shards that became ready during the range shown.",
            Unit.COUNT,
            (Query("sum(max by (cause) (increase(flstore_placement_shard_starts_total[$__range])))"),),
            kind=Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Time to ready, p50",
            "From the decision to start a shard until it answers.",
            Unit.SECONDS,
            (
                Query(
                    "histogram_quantile(0.5,"
                    " sum by (le) (increase(flstore_placement_shard_start_seconds_bucket[$__range])))"
                ),
            ),
            Threshold(warn=1.5, bad=3),
            Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Awake now",
            "Share of shards that have a process.",
            Unit.RATIO,
            (
                Query(
                    'sum(max by (state) (flstore_placement_shards{state=~"awake|starting|leaving"}))'
                    " / sum(max by (state) (flstore_placement_shards))"
                ),
            ),
            kind=Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Awake shard-hours",
            "Hours of shards' processes during the range shown: what scaling to zero is to make small.",
            Unit.COUNT,
            (Query("sum(max by (shard) (increase(flstore_placement_awake_shard_seconds_total[$__range]))) / 3600"),),
            kind=Kind.NUMBER,
            width=6,
            height=4,
        ),
        Panel(
            "Why shards woke",
            "`request`: somebody asked while it was at zero. `restart`: its container ended and was started again."
            " `rollout`: it was changed. `eviction`: the cluster took its pod. `replacement`: it was killed or lost.",
            Unit.PER_SECOND,
            (Query("max by (cause) (rate(flstore_placement_shard_starts_total[$__rate_interval]))", "{{cause}}"),),
        ),
        Panel(
            "Last start of each shard",
            "Why it was started the last time, how the one before had ended, and the seconds until it was ready.",
            Unit.SECONDS,
            (
                Query(
                    "max by (shard, cause, reason) (flstore_placement_shard_last_start_seconds)",
                    "{{shard}}: {{cause}} {{reason}}",
                ),
            ),
            kind=Kind.BARS,
        ),
        Panel(
            "Start by stage",
            "`scheduled`: what callers waited until the shard's process was born: scheduling, the image, the network."
            " `answered`: from then to its answer. `process`: until it served. `store`: until its store had answered.",
            Unit.SECONDS,
            (
                Query(
                    "sum by (stage) (rate(flstore_cold_start_seconds_sum{stage!='whole'}[$__range]))"
                    " / sum by (stage) (rate(flstore_cold_start_seconds_count{stage!='whole'}[$__range]))",
                    "{{stage}}",
                ),
                Query("avg by (stage) (flstore_shard_start_seconds)", "{{stage}}"),
            ),
            Threshold(warn=1.5, bad=3),
        ),
        Panel(
            "Waits for a start",
            "Median and slowest in a hundred of the calls that a shard had to start for, measured by the caller.",
            Unit.SECONDS,
            (
                Query(
                    "histogram_quantile(0.5,"
                    " sum by (le) (rate(flstore_cold_start_seconds_bucket{stage='whole'}[$__rate_interval])))",
                    "p50",
                ),
                Query(
                    "histogram_quantile(0.99,"
                    " sum by (le) (rate(flstore_cold_start_seconds_bucket{stage='whole'}[$__rate_interval])))",
                    "p99",
                ),
            ),
            Threshold(warn=1.5, bad=3),
        ),
        Panel(
            "Time to ready",
            "Median and slowest in a hundred of all starts.",
            Unit.SECONDS,
            (
                Query(
                    "histogram_quantile(0.5,"
                    " sum by (le) (rate(flstore_placement_shard_start_seconds_bucket[$__rate_interval])))",
                    "p50",
                ),
                Query(
                    "histogram_quantile(0.99,"
                    " sum by (le) (rate(flstore_placement_shard_start_seconds_bucket[$__rate_interval])))",
                    "p99",
                ),
            ),
            Threshold(warn=1.5, bad=3),
        ),
        Panel(
            "Awake shard-seconds a second",
            "How many shards were awake on average, by shard: 1 is never at zero.",
            Unit.COUNT,
            (
                Query(
                    "max by (shard) (rate(flstore_placement_awake_shard_seconds_total[$__rate_interval]))", "{{shard}}"
                ),
            ),
            stacked=True,
        ),
        Panel(
            "Workloads by where they ran",
            "`gateway` answers come from stored statistics and wake nothing. `shards` answers need the weights, or the "
            "statistics of a round that is still open.",
            Unit.PER_SECOND,
            (Query("sum by (where) (rate(flstore_workload_seconds_count[$__rate_interval]))", "{{where}}"),),
            stacked=True,
        ),
        Panel(
            "Shards by state",
            "Every shard there may be, by what it is doing.",
            Unit.COUNT,
            (Query("max by (state) (flstore_placement_shards)", "{{state}}"),),
            stacked=True,
        ),
    ),
)
