"""Every metric of a gateway, and its labels."""

from collections.abc import Iterator
from time import perf_counter
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flstore_core.cache import Cache
from flstore_core.cost import RequestCost
from flstore_core.patterns import Pattern
from services.gateway.rounds.newest import Newest

START_BUCKETS = (0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.0, 2.5, 3.0, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""

LATENCY_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Seconds."""


class ColdStarts:
    """Waits of calls for backends that were at zero, each call that waited."""

    def __init__(self) -> None:
        self.seconds = Histogram(
            "flstore_cold_start_seconds",
            "Time that a call waited for a backend: until its process was born, from then to the answer, and both",
            ["stage"],
            buckets=START_BUCKETS,
            registry=None,
        )
        self._stages = {stage: self.seconds.labels(stage) for stage in (SCHEDULED, ANSWERED, WHOLE)}

    def note(self, waited_s: float, age_s: float) -> None:
        """Count a call that was answered after `waited_s` seconds, if the process was younger than that."""
        if waited_s > age_s:
            for stage, seconds in ((SCHEDULED, waited_s - age_s), (ANSWERED, age_s), (WHOLE, waited_s)):
                self._stages[stage].observe(seconds)


SCHEDULED, ANSWERED, WHOLE = "scheduled", "answered", "whole"
"""Stages of a cold start."""


class GatewayMetrics:
    """The metrics of one gateway, in a registry of their own."""

    def __init__(self, records: Cache[Any], newest: Newest) -> None:
        self.registry = registry = CollectorRegistry()
        self.requests = Counter(
            "flstore_requests", "Requests answered", ["method", "route", "status"], registry=registry
        )
        self.request_seconds = Histogram(
            "flstore_request_seconds", "Time to answer", ["route"], buckets=LATENCY_BUCKETS, registry=registry
        )
        self.workload_seconds = Histogram(
            "flstore_workload_seconds",
            "Time a workload took, by where it ran: shards too if they computed an open round's statistics",
            ["workload", "pattern", "where"],
            buckets=LATENCY_BUCKETS,
            registry=registry,
        )
        self.workload_errors = Counter(
            "flstore_workload_errors", "Workloads that failed", ["workload", "code"], registry=registry
        )
        self.ingested_bytes = Counter("flstore_ingested_bytes", "Bytes of models stored", ["job"], registry=registry)
        self.rounds_committed = Counter("flstore_rounds_committed", "Rounds committed", ["job"], registry=registry)
        self.cost_dollars = Counter(
            "flstore_cost_dollars",
            "Dollars by published prices: of requests and ingest here, and of the same requests at the baselines",
            ["kind"],
            registry=registry,
        )
        self.in_flight_bytes = Gauge("flstore_in_flight_bytes", "Bytes of uploads under way", registry=registry)
        self.table_version = Gauge("flstore_table_version", "Version of the placement table", registry=registry)
        registry.register(_RecordsCollector(records))
        registry.register(_NewestCollector(newest))

    def count_cost(self, cost: RequestCost) -> None:
        """Add what a request cost here and would have cost at both baselines."""
        for kind, bill in ((REQUESTS, cost.ours), (AT_OBJSTORE, cost.objstore), (AT_CACHE, cost.cache)):
            self.cost_dollars.labels(kind).inc(bill.total)


REQUESTS, AT_OBJSTORE, AT_CACHE, INGEST, COMMITS = (
    "requests",
    "requests_at_objstore",
    "requests_at_cache",
    "ingest",
    "commits",
)
"""Kinds of cost."""


class _RecordsCollector(Collector):
    """Shows the counters of the cache of records and statistics."""

    def __init__(self, records: Cache[Any]) -> None:
        self._records = records

    def collect(self) -> Iterator[Metric]:
        snapshot = self._records.snapshot()
        yield GaugeMetricFamily("flstore_records_used_bytes", "Bytes of records held", value=snapshot["used_bytes"])
        for field in ("requests", "hits"):
            family = CounterMetricFamily(f"flstore_records_{field}", f"Record cache {field}", labels=["pattern"])
            for pattern in Pattern:
                family.add_metric([pattern], snapshot[pattern.value][field])
            yield family


class _NewestCollector(Collector):
    """Shows what the newest aggregates take, and how often they were sent from memory."""

    def __init__(self, newest: Newest) -> None:
        self._newest = newest

    def collect(self) -> Iterator[Metric]:
        newest = self._newest
        yield GaugeMetricFamily(
            "flstore_models_used_bytes",
            "Bytes of the newest aggregates, and of those still being sent",
            value=newest.nbytes,
        )
        yield CounterMetricFamily("flstore_models_requests", "Aggregates that were asked for", value=newest.requests)
        yield CounterMetricFamily("flstore_models_hits", "Aggregates that were sent from memory", value=newest.hits)


class Measure:
    """ASGI middleware: counts and times every request by its route's template, such as `/v1/jobs/{job}`.

    A path as it was sent may hold anything, and each new value of a label takes memory for good.
    """

    def __init__(self, app: ASGIApp, metrics: GatewayMetrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started, status = perf_counter(), 500

        async def note_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, note_status)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.requests.labels(scope["method"], route, status).inc()
            self._metrics.request_seconds.labels(route).observe(perf_counter() - started)
