"""Every metric of the placement controller."""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from flstore_core.ids import ShardId
from services.placement.runtime import Cause, Phase, ShardState

START_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """Labels: `cause` is a `Cause`, `state` a `Phase`."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._states = _States()
        self.registry.register(self._states)
        self.table_version = Gauge(
            "flstore_placement_table_version", "Version of the table in force.", registry=self.registry
        )
        self.plan_errors = Counter(
            "flstore_placement_plan_errors_total",
            "Jobs refused and rounds of reconciling failed.",
            ["code"],
            registry=self.registry,
        )
        self.conflicts = Counter(
            "flstore_placement_table_conflicts_total",
            "Times another controller changed the table first.",
            registry=self.registry,
        )
        self._starts = Counter(
            "flstore_placement_shard_starts_total", "Shards that became ready.", ["cause"], registry=self.registry
        )
        self._start_seconds = Histogram(
            "flstore_placement_shard_start_seconds",
            "From spawn to ready.",
            buckets=START_BUCKETS,
            registry=self.registry,
        )
        for cause in Cause:
            self._starts.labels(cause.value)

    def started(self, shard: ShardId, cause: Cause, seconds: float) -> None:
        self._starts.labels(cause.value).inc()
        self._start_seconds.observe(seconds)

    def render(self, states: Sequence[ShardState]) -> bytes:
        """Return everything in Prometheus' text format."""
        self._states.now = states
        return generate_latest(self.registry)


class _States(Collector):
    """What follows from the shards' states at the moment of the scrape."""

    now: Sequence[ShardState] = ()

    def collect(self) -> Iterator[Metric]:
        shards = GaugeMetricFamily("flstore_placement_shards", "Shards by state.", labels=["state"])
        for phase in Phase:
            shards.add_metric([phase.value], sum(state.phase is phase for state in self.now))
        yield shards
        awake = CounterMetricFamily(
            "flstore_placement_awake_shard_seconds", "Seconds in which a shard's process existed.", labels=["shard"]
        )
        for state in self.now:
            awake.add_metric([state.shard], state.awake_s)
        yield awake
