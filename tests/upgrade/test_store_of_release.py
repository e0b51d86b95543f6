"""A store that the previous release has written: this version answers every question about it as that release did."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from safetensors.numpy import save

from flstore_core.workloads import Needs, registry
from tests.models.fixtures import put_dataset
from tests.models.networks import Perceptron, exported
from tests.running.jobs import JobOverHttp
from tests.upgrade.deployment import Deployment
from tests.waiting import eventually
from tests.workloads.questions import leaves, questions, questions_of_weights

SETTINGS = {
    "FLSTORE_SHARDS": "2",
    "FLSTORE_CACHE_BYTES": "64MiB",
    "FLSTORE_PREDICTORS": "1",
    "FLSTORE_IDLE_SECONDS": "0",
    "FLSTORE_REFRESH_SECONDS": "0.1",
}
CLIENTS = 8
CHANGED = {
    "malicious-filter": {"method": "foolsgold"},  # distrusted a client that resembles nobody
    "schedule-clusters": {},  # failed where a round has no updates
    "provenance": {"verify": True},  # made artifacts of the newest round of today
}
"""Questions whose answers this version has corrected, see CHANGELOG.md."""

Model = Mapping[str, NDArray[np.float64]]
Question = tuple[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Answer:
    """What one version said."""

    status: int
    document: Any

    @property
    def code(self) -> str:
        return str(self.document.get("code", ""))


def catalogue() -> list[Question]:
    """Return questions to every workload."""
    about_metadata: list[Question] = [
        (name, {}) for name, workload in registry.load().items() if workload.needs is Needs.METADATA
    ]
    about_models: list[Question] = [
        ("contribution-evaluated", {"method": "exact", "utility": "loss", "round": 1}),
        ("debug", {"dataset": "test", "round": 1}),
        ("evaluate", {"round": 1}),
        ("inference", {"dataset": "test", "rows": 3}),
        ("llm-inference", {"prompts": [[1, 2]]}),
        ("schedule-accuracy", {"round": 1}),
    ]
    return [*about_metadata, *questions(), *questions_of_weights(), *about_models]


@contextmanager
def running(deployment: Deployment, *, old: bool) -> Iterator[JobOverHttp]:
    """Run all of one version; yield the job that all questions are about."""
    with deployment.controller(old=old), deployment.gateway(old=old) as job:
        yield job


def fill(job: JobOverHttp) -> None:
    """Store two committed rounds and an open one, with a program and a data set."""
    rng, module = np.random.default_rng(5), Perceptron()
    base = {name: rng.normal(0.0, 0.2, tuple(tensor.shape)) for name, tensor in module.state_dict().items()}
    schema = [{"name": name, "dtype": "F32", "shape": list(values.shape)} for name, values in base.items()]
    assert job.http.put(job.url, json={"schema": schema, "slices": 2}).status_code == 201
    put_round(job, 0, {}, base)
    for number in (1, 2):
        clients = {f"c{index}": step(base, index, rng) for index in range(CLIENTS)}
        base = {name: np.mean([model[name] for model in clients.values()], axis=0) for name in base}
        put_round(job, number, clients, base)
    assert job.put(3, "c0", encode(step(base, 0, rng))).status_code == 201
    inputs, targets = rng.normal(size=(50, 64)).astype(np.float32), rng.integers(0, 10, 50)
    program = exported(module, torch.from_numpy(inputs[:4]))
    assert job.http.put(f"{job.url}/model", content=program).status_code == 201
    put_dataset(job, "test", {"inputs": inputs, "targets": targets})


def step(model: Model, client: int, rng: np.random.Generator) -> Model:
    """Return what a client makes of a model: all go one way on the whole, but for client 3."""
    way = -1.0 if client == 3 else 1.0
    return {name: values + 0.01 * way + 0.01 * rng.normal(size=values.shape) for name, values in model.items()}


def encode(model: Model) -> bytes:
    return save({name: values.astype(np.float32) for name, values in model.items()})


def put_round(job: JobOverHttp, number: int, clients: Mapping[str, Model], aggregate: Model) -> None:
    for index, (name, model) in enumerate(clients.items()):
        metrics = {"num_examples": 100 + index, "duration_s": 1.5 + index, "accuracy": 1 / (2 + index)}
        answer = job.put(number, name, encode(model), **{"X-FLStore-Metrics": json.dumps(metrics)})
        assert answer.status_code == 201, answer.text
    assert job.put_aggregate(number, encode(aggregate)).status_code == 201
    said = {"metrics": {"loss": 1.0 / (1 + number)}, "hyperparameters": {"rate": 0.1 * number}}
    committed = job.http.post(f"{job.url}/rounds/{number}/commit", json=said)
    assert committed.status_code == 200, committed.text


def ask_all(job: JobOverHttp) -> list[Answer]:
    answers = (job.run(name, **params) for name, params in catalogue())
    return [Answer(answer.status_code, answer.json()) for answer in answers]


def read_all(job: JobOverHttp) -> dict[str, bytes]:
    """Return every file of the job that can be downloaded."""
    listed = job.http.get(f"{job.url}/rounds").json()["rounds"]
    rounds = [job.http.get(f"{job.url}/rounds/{row['round']}").json() for row in listed]
    paths = [f"/rounds/{each['round']}/clients/{member['client']}" for each in rounds for member in each["members"]]
    paths += [f"/rounds/{each['round']}/aggregate" for each in rounds if each["aggregate"]]
    return {path: job.http.get(job.url + path).content for path in [*paths, "/model", "/datasets/test"]}


def start_operation(job: JobOverHttp) -> str:
    """Have work done in the background, and return where its result can be read."""
    headers = {"Prefer": "respond-async"}
    started = job.http.post(f"{job.url}/workloads/aggregate", json={"method": "median"}, headers=headers)
    location = started.headers["location"]
    eventually(lambda: job.http.get(location).json()["state"] == "succeeded")
    return location


def differences(found: Any, expected: Any) -> list[str]:
    """Return where an answer differs from an earlier one. What is new in it does not count, nor do words of reasons."""
    ours = dict(leaves(found))
    return [
        f"{place}: {ours.get(place)!r} was {value!r}"
        for place, value in leaves(expected)
        if ".reasons[" not in place and not is_same(ours.get(place), value)
    ]


def is_same(value: Any, earlier: Any) -> bool:
    if isinstance(value, float) and isinstance(earlier, float):
        return value == pytest.approx(earlier, rel=1e-5, abs=1e-6)
    return bool(value == earlier)


@pytest.mark.timeout(300)  # two systems with a predictor start, one after the other
def test_every_answer_is_the_one_that_the_release_gave(tmp_path: Path, release: Mapping[str, str]) -> None:
    deployment = Deployment(str(tmp_path / "store"), tmp_path, SETTINGS, release)
    with running(deployment, old=True) as job:
        fill(job)
        before, files, operation = ask_all(job), read_all(job), start_operation(job)
        result = job.http.get(operation).json()["result"]
    with running(deployment, old=False) as job:
        assert read_all(job) == files
        assert job.http.get(operation).json()["result"] == result
        artifact = result["result"]["artifact"]
        assert len(job.http.get(artifact["href"]).content) == artifact["nbytes"]
        compared, odd = 0, []
        for (name, params), old, new in zip(catalogue(), before, ask_all(job), strict=True):
            if old.code == "invalid-parameters" or CHANGED.get(name) == params:
                continue  # the release knows no such question, or erred
            found = differences(new.document.get("result"), old.document.get("result"))
            if (new.status, new.code) != (old.status, old.code) or found:
                odd.append((name, params, new.status, found or new.document))
            compared += old.status == 200
    assert odd == []
    assert compared >= 45
