"""What is done to the platform, step by step. Each step raises when something is not as it should be."""

import statistics
import time
from typing import Any

import numpy as np

from flstore_core.client import FLStore
from flstore_core.errors import FLStoreError
from tests.servers import wait_until

JOB = "e2e"
ROUNDS, CLIENTS = 3, 5
SHAPES = {"layer1": (512, 512), "layer2": (512, 10)}
COLD_S, WARM_S = 2.0, 0.010
ZERO_WITHIN_S = 600.0

MODEL = {name: np.zeros(shape, np.float32) for name, shape in SHAPES.items()}
QUESTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("cosine-similarity", {"round": ROUNDS}),
    ("aggregate", {"round": ROUNDS, "method": "median"}),
    ("reputation", {"client": "client-1"}),
    ("metrics", {"metrics": ["loss"], "group_by": ["round"], "aggregations": ["mean"]}),
)
"""P2 from statistics, P2 from weights, P3 and P4."""


def ingest(store: FLStore) -> str:
    """Store three rounds with their aggregates (P1 reads one back)."""
    rng = np.random.default_rng(1)
    store.create_job(JOB, like=MODEL)
    for number in range(1, ROUNDS + 1):
        for client in range(CLIENTS):
            update = {name: rng.normal(size=shape).astype(np.float32) for name, shape in SHAPES.items()}
            metrics = {"num_examples": 10 + client, "loss": 1.0 / number}
            store.put_update(JOB, number, f"client-{client}", update, metrics=metrics)
        store.put_aggregate(JOB, number, MODEL)
        store.commit(JOB, number)
    return f"{ROUNDS} rounds of {CLIENTS} clients"


def ask(store: FLStore) -> str:
    """Run a workload of every pattern, and read one model back."""
    told = [f"{name} {store.run_anew(JOB, name, **params).pattern}" for name, params in QUESTIONS]
    model = store.get_aggregate(JOB, ROUNDS)
    if not all(np.array_equal(model[name], MODEL[name]) for name in MODEL):
        raise AssertionError("the aggregate came back changed")
    return ", ".join([*told, "model P1"])


def reach_zero(store: FLStore) -> str:
    """Wait until no shard has a pod."""
    started = time.monotonic()
    wait_until(lambda: at_zero(store), "every shard being at zero", ZERO_WITHIN_S)
    return f"after {time.monotonic() - started:.0f} s"


def at_zero(store: FLStore) -> bool:
    try:
        return all(shard["state"] == "zero" for shard in store.cache()["shards"])
    except FLStoreError:
        return False


def cold_start(store: FLStore) -> str:
    """Ask for weights while every shard is at zero: start, load and answer."""
    seconds = _timed(store, "aggregate", round=ROUNDS, method="median")
    if seconds > COLD_S:
        raise AssertionError(f"the first answer took {seconds:.2f} s; at most {COLD_S} s are allowed")
    return f"{seconds:.2f} s"


def warm_statistics(store: FLStore) -> str:
    """Ask for statistics, fifty times."""
    p50 = statistics.median(_timed(store, "cosine-similarity", round=ROUNDS) for _ in range(50))
    if p50 > WARM_S:
        raise AssertionError(f"p50 is {p50 * 1e3:.1f} ms; at most {WARM_S * 1e3:.0f} ms are allowed")
    return f"p50 {p50 * 1e3:.1f} ms"


def _timed(store: FLStore, workload: str, **params: Any) -> float:
    started = time.perf_counter()
    store.run_anew(JOB, workload, **params)
    return time.perf_counter() - started
