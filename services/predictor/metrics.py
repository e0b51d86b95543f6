"""Every metric of a predictor: KServe's, without the names of jobs, and those of the cache.

Everybody who reaches a predictor may read its metrics. KServe labels its own with the name of the model, which is the
name of a job and must not be told. So samples that differ only in that label are added up.

Example: 3 requests for `model_name="a"` and 4 for `model_name="b"` become 7 requests without that label.
"""

from collections import defaultdict
from collections.abc import Iterator

from prometheus_client import REGISTRY, generate_latest
from prometheus_client.core import Metric
from prometheus_client.registry import Collector, CollectorRegistry
from prometheus_client.samples import Sample

from services.common.cache_metrics import registry_of
from services.predictor.state import State

MODEL = "model_name"
"""KServe's label."""


def render(state: State) -> bytes:
    """Return the metrics in Prometheus' text format."""
    kserve = CollectorRegistry()
    kserve.register(_Nameless(REGISTRY))
    return generate_latest(kserve) + generate_latest(registry_of(state.engine.inventory, state.settings.predictor))


class _Nameless(Collector):
    """The metrics of another registry, added up over models."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for metric in self._registry.collect():
            nameless = Metric(metric.name, metric.documentation, metric.type)
            nameless.samples = _add_up(metric.samples)
            yield nameless


def _add_up(samples: list[Sample]) -> list[Sample]:
    sums: dict[tuple[str, tuple[tuple[str, str], ...]], float] = defaultdict(float)
    for sample in samples:
        if MODEL in sample.labels and sample.name.endswith("_created"):
            continue  # a point in time, and the sum of two makes no sense
        labels = tuple((name, value) for name, value in sample.labels.items() if name != MODEL)
        sums[sample.name, labels] += sample.value
    return [Sample(name, dict(labels), value) for (name, labels), value in sums.items()]
