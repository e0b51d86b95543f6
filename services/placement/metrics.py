"""Every metric of the placement controller and its labels.

Labels: `cause` is a `Cause`, `reason` that of a `Start`, `state` a `Phase`, `code` an error's code, `shard` the id of a
shard or predictor.
"""

from collections.abc import Iterator, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from services.placement.runtime import BackendState, Cause, Phase, Start

START_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0, 60.0)


class Metrics:
    """The controller's metrics, in a registry of their own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._states = _States()
        self.registry.register(self._states)
        self.table_version = Gauge(
            "flstore_placement_table_version", "Version of the table in force.", registry=self.registry
        )
        self.plan_errors = Counter(
            "flstore_placement_plan_errors_total",
            "Jobs refused, and failed attempts to reconcile.",
            ["code"],
            registry=self.registry,
        )
        self.conflicts = Counter(
            "flstore_placement_table_conflicts_total",
            "Times that another controller changed the table first.",
            registry=self.registry,
        )
        self._starts = Counter(
            "flstore_placement_shard_starts_total", "Shards that became ready.", ["cause"], registry=self.registry
        )
        self._start_seconds = Histogram(
            "flstore_placement_shard_start_seconds",
            "Seconds from spawn to ready.",
            buckets=START_BUCKETS,
            registry=self.registry,
        )
        for cause in Cause:
            self._starts.labels(cause.value)

    def count_start(self, start: Start) -> None:
        """Count a backend that has become ready."""
        self._starts.labels(start.cause.value).inc()
        self._start_seconds.observe(start.seconds)

    def render(self, states: Sequence[BackendState]) -> bytes:
        """Return all metrics in Prometheus' text format; `states` are those of the backends now."""
        self._states.now = states
        return generate_latest(self.registry)


class _States(Collector):
    """The metrics that follow from the states of the backends at the moment of the scrape."""

    now: Sequence[BackendState] = ()

    def collect(self) -> Iterator[Metric]:
        shards = GaugeMetricFamily("flstore_placement_shards", "Shards by state.", labels=["state"])
        for phase in Phase:
            shards.add_metric([phase.value], sum(state.phase is phase for state in self.now))
        yield shards
        awake = CounterMetricFamily(
            "flstore_placement_awake_shard_seconds", "Seconds in which a shard's process existed.", labels=["shard"]
        )
        for state in self.now:
            awake.add_metric([state.id], state.awake_s)
        yield awake
        yield self._last_starts()

    def _last_starts(self) -> Metric:
        family = GaugeMetricFamily(
            "flstore_placement_shard_last_start_seconds",
            "Seconds that each shard's newest start took, and why it was started.",
            labels=["shard", "cause", "reason"],
        )
        for state in self.now:
            if start := state.last_start:
                family.add_metric([state.id, start.cause.value, start.reason], start.seconds)
        return family
