"""Every workload over statistics or records, asked of an old round through the gateway; exact Shapley values."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from flstore_core.client import Answer, FLStore
from loadgen.demo.questions import Scene, parameters
from tests.bench.row import Row, median_seconds
from tests.bench.system import CLIENTS, JOB, System, flstore, models, s3

ROUNDS = 10
OLD = 1
TIMES = 50
_NEEDS = ("statistics", "metadata")


def rows() -> Iterator[Row]:
    """Time each workload, worked out anew every time; the worst of them counts."""
    with s3() as server, flstore(server, "workloads", cache="1GiB") as system:
        ingest(system.client)
        found = {name: median_seconds(ask, TIMES) for name, ask in _questions(system)}
        slowest = max(found, key=lambda name: found[name])
        yield Row("statistics_workloads_p50_ms", 1e3 * found[slowest], "ms", 10.0, note=f"slowest: {slowest}")
        for name, taken in found.items():
            yield Row(f"statistics_workloads_p50_ms[{name}]", 1e3 * taken, "ms", 10.0)
        exact = partial(system.client.run_anew, JOB, "contribution", round=OLD, method="shapley")
        yield Row("shapley_exact_10_ms", 1e3 * median_seconds(exact, TIMES), "ms", 50.0)


def ingest(client: FLStore) -> None:
    """Store the same ten updates in each round, with the metrics and hyperparameters that teams record."""
    base, updates = models()
    client.create_job(JOB, like=base, slices=1, hot_rounds=2)
    client.put_aggregate(JOB, 0, base)
    client.commit(JOB, 0, metrics={"loss": 2.0})
    for number in range(1, ROUNDS + 1):
        for index, arrays in enumerate(updates):
            client.put_update(JOB, number, f"client-{index}", arrays, metrics=_metrics(number, index))
        chosen = {"learning_rate": 0.1 if number % 2 else 0.05, "epochs": 1 + number % 3}
        client.commit(JOB, number, metrics={"loss": 2.0 / (1 + number)}, hyperparameters=chosen)


def _metrics(number: int, index: int) -> Mapping[str, Any]:
    accuracy = (number + index) / (ROUNDS + CLIENTS)
    return {
        "num_examples": 100 + index,
        "loss": 2.0 / (1 + number + index),
        "accuracy": accuracy,
        "duration_s": 1.0 + index,
    }


def _questions(system: System) -> Iterator[tuple[str, partial[Answer]]]:
    scene = Scene(OLD, "client-0")
    for workload in system.client.workloads():
        if workload.needs in _NEEDS:
            asked = parameters(workload.raw, scene)
            yield str(workload.name), partial(system.client.run_anew, JOB, workload.name, **asked)
