"""What a scrape shows, by the states of the backends at that moment."""

from prometheus_client.parser import text_string_to_metric_families

from flstore_core.ids import ShardId
from services.placement.metrics import Metrics
from services.placement.runtime import BackendState, Cause, Phase, Start

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(metrics: Metrics, *states: BackendState) -> Samples:
    families = text_string_to_metric_families(metrics.render(states).decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
        if not sample.name.endswith("_created")
    }


def named(samples: Samples, name: str) -> dict[tuple[tuple[str, str], ...], float]:
    return {labels: value for (sample, labels), value in samples.items() if sample == name}


def test_every_phase_and_every_cause_has_a_series_from_the_start() -> None:
    samples = scrape(Metrics())
    assert named(samples, "flstore_placement_shards") == {(("state", phase.value),): 0.0 for phase in Phase}
    assert named(samples, "flstore_placement_shard_starts_total") == {(("cause", cause.value),): 0.0 for cause in Cause}


def test_backends_are_counted_by_phase_and_their_seconds_by_name() -> None:
    states = [
        BackendState(ShardId("a"), Phase.AWAKE, "", awake_s=12.5),
        BackendState(ShardId("b"), Phase.AWAKE, "", awake_s=1.0),
        BackendState(ShardId("c"), Phase.ZERO, ""),
    ]
    samples = scrape(Metrics(), *states)
    assert named(samples, "flstore_placement_shards")[("state", "awake"),] == 2.0
    assert named(samples, "flstore_placement_shards")[("state", "zero"),] == 1.0
    assert named(samples, "flstore_placement_awake_shard_seconds_total") == {
        (("shard", "a"),): 12.5,
        (("shard", "b"),): 1.0,
        (("shard", "c"),): 0.0,
    }


def test_starts_are_counted_by_cause_and_timed() -> None:
    metrics = Metrics()
    for cause, seconds in ((Cause.REQUEST, 0.4), (Cause.REQUEST, 0.6), (Cause.RESTART, 3.0)):
        metrics.count_start(Start(cause, "", seconds))
    samples = scrape(metrics)
    assert named(samples, "flstore_placement_shard_starts_total")[("cause", "request"),] == 2.0
    assert named(samples, "flstore_placement_shard_starts_total")[("cause", "restart"),] == 1.0
    assert samples["flstore_placement_shard_start_seconds_sum", ()] == 4.0
    buckets = named(samples, "flstore_placement_shard_start_seconds_bucket")
    assert [buckets[("le", bound),] for bound in ("0.3", "0.5", "0.75", "3.0", "+Inf")] == [0.0, 1.0, 2.0, 3.0, 3.0]


def test_the_last_start_of_each_backend_says_why() -> None:
    started = BackendState(ShardId("a"), Phase.AWAKE, "", recent_starts=(Start(Cause.RESTART, "OOMKilled", 3.25),))
    samples = scrape(Metrics(), started, BackendState(ShardId("b"), Phase.ZERO, ""))
    assert named(samples, "flstore_placement_shard_last_start_seconds") == {
        (("cause", "restart"), ("reason", "OOMKilled"), ("shard", "a")): 3.25
    }
