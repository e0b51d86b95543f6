"""The generator's own Prometheus metrics."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from loadgen.run.latencies import QUANTILES
from loadgen.run.tally import Tally


class Exporter(Collector):
    """Serves the counts of a run on a loopback port."""

    def __init__(self, port: int) -> None:
        self._tally = Tally()
        registry = CollectorRegistry()
        registry.register(self)
        start_http_server(port, "127.0.0.1", registry)

    def __call__(self, tally: Tally, elapsed: float) -> None:
        """Show `tally` from now on."""
        self._tally = tally

    def collect(self) -> Iterator[Metric]:
        tally = self._tally
        yield _counter("flstore_load_requests", "Requests answered", tally.answered)
        yield _counter("flstore_load_postponed", "Requests due before their round was committed", tally.postponed)
        yield _counter("flstore_load_uploads", "Models stored", tally.uploads.count)
        yield _counter("flstore_load_dollars", "What answers said they cost", tally.dollars)
        errors = CounterMetricFamily("flstore_load_errors", "Requests that failed", labels=["code"])
        for code, count in tally.errors.items():
            errors.add_metric([code], count)
        yield errors
        latency = GaugeMetricFamily(
            "flstore_load_latency_seconds", "Latency from when a request was due", labels=["requests", "quantile"]
        )
        for name, latencies in tally.named():
            for percent in QUANTILES:
                latency.add_metric([name, f"{percent / 100:g}"], latencies.quantile_ms(percent) / 1e3)
        yield latency
        yield GaugeMetricFamily("flstore_load_lag_p99_seconds", "Lateness", value=tally.lag.quantile_ms(99.0) / 1e3)


def _counter(name: str, text: str, value: float) -> Metric:
    return CounterMetricFamily(name, text, value=value)
