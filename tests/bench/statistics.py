"""Workloads answered from a round's statistics, against an aggregator that pulls the round from the store."""

from collections.abc import Iterator
from functools import partial

from loadgen.baselines.aggregator import Aggregator
from tests.bench.row import Row, median_seconds
from tests.bench.system import JOB, System, flstore, ingest_rounds, s3

ROUNDS = 4
WORKLOADS = ("cosine-similarity", "malicious-filter", "clustering")


def rows() -> Iterator[Row]:
    """Time hot and old rounds; the worst of the workloads counts."""
    with s3() as server, flstore(server, "statistics", cache="1GiB") as system:
        ingest_rounds(system.client, ROUNDS, slices=1)
        yield from _compare(system, "hot", ROUNDS)
        yield from _compare(system, "old", 1)


def _compare(system: System, which: str, number: int) -> Iterator[Row]:
    aggregator = Aggregator(system.store, JOB)
    ours = {name: median_seconds(partial(system.client.run_anew, JOB, name, round=number), 50) for name in WORKLOADS}
    peer = {name: median_seconds(partial(aggregator.run, name, {"round": number}), 3) for name in WORKLOADS}
    slowest = max(ours, key=lambda name: ours[name])
    least = min(WORKLOADS, key=lambda name: peer[name] / ours[name])
    yield Row(f"statistics_p50_ms[{which}]", 1e3 * ours[slowest], "ms", 5.0, note=f"slowest: {slowest}")
    yield Row(
        f"statistics_vs_aggregator[{which}]",
        peer[least] / ours[least],
        "x",
        100.0,
        "higher",
        f"least: {least}, aggregator {1e3 * peer[least]:.0f} ms",
    )
