"""Jobs to archive."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.client import FLStore
from flstore_core.records import Round

CLIENTS = ("c1", "c2", "c3", "c4", "Hospital A")
QUESTIONS: Mapping[str, Mapping[str, Any]] = {
    "cosine-similarity": {"round": 2},
    "malicious-filter": {"round": 2},
    "clustering": {"round": 2},
    "convergence": {},
    "fairness": {"metric": "loss"},
    "provenance": {},
    "reputation": {"client": "c2"},
    "aggregate": {"round": 2, "method": "median"},
}
OWN = ("received_at", "committed_at", "upload", "created_at", "href")
"""Fields that each gateway decides by itself."""


def model(seed: int) -> dict[str, NDArray[Any]]:
    values = np.random.default_rng(seed).normal(size=9).astype(np.float32)
    return {"w": values[:6].reshape(2, 3), "b": values[6:], "steps": np.array([seed], np.int64)}


def fill(store: FLStore, job: str = "job", *, rounds: int = 3, **settings: Any) -> None:
    """Store the initial model, `rounds` committed rounds, and an open one."""
    store.create_job(job, like=model(0), **settings)
    store.put_aggregate(job, 0, model(0))
    store.commit(job, 0)
    for number in range(1, rounds + 1):
        for index, client in enumerate(CLIENTS):
            metrics = {"num_examples": 10 + index, "loss": 0.5 / number + index}
            store.put_update(job, number, client, model(10 * number + index), metrics=metrics)
        store.put_aggregate(job, number, model(100 + number), metrics={"accuracy": 0.8})
        store.commit(job, number, metrics={"loss": 1 / number}, hyperparameters={"lr": 0.1 * number})
    store.put_update(job, rounds + 1, "c1", model(7), metrics={"num_examples": 3})


def described(store: FLStore, job: str = "job") -> dict[str, Any]:
    """Return all that a gateway gives of a job's rounds, but for what each gateway decides by itself."""
    info = store.job(job)
    rounds = {each.round: _without_times(store.round(job, each.round)) for each in store.rounds(job)}
    datasets = {row["dataset"]: row["sha256"] for row in store.datasets(job)}
    names = ("schema", "statistics", "weight_key", "clients_per_round", "hot_rounds", "replicas", "slices")
    return {"settings": [getattr(info, name) for name in names], "rounds": rounds, "datasets": datasets}


def answers(store: FLStore, job: str = "job") -> dict[str, Any]:
    """Return the results of questions to a job, without the names that each gateway makes."""
    return {name: _stripped(store.run(job, name, **params).result.raw) for name, params in QUESTIONS.items()}


def _without_times(record: Round) -> Any:
    return _stripped(record.to_json())


def _stripped(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stripped(each) for name, each in value.items() if name not in OWN}
    return [_stripped(each) for each in value] if isinstance(value, list) else value
