"""The aggregator against float64 NumPy, over a store written by hand."""

import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest
import safetensors.numpy
from numpy.typing import NDArray

from flstore_core import layout
from flstore_core.codec import parse, schema_of
from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.ids import JobId
from flstore_core.records import to_bytes
from flstore_core.storage import DirectoryStore
from flstore_core.storage.documents import load_json
from loadgen.baselines.aggregator import Aggregator

Tensors = dict[str, NDArray[np.float32]]

CLIENTS = ("a", "b", "c", "d", "e")
EXAMPLES = (10, 20, 30, 5, 1)


def tensors(rng: np.random.Generator) -> Tensors:
    return {"w": rng.standard_normal((40, 7)).astype(np.float32), "b": rng.standard_normal(7).astype(np.float32)}


def flat(arrays: Tensors) -> NDArray[np.float64]:
    return np.concatenate([arrays[name].astype(np.float64).ravel() for name in sorted(arrays)])


class Written:
    """Two rounds in a store: the initial model, and one of five updates and an aggregate."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(3)
        self.store = DirectoryStore(folder)
        self.base = tensors(rng)
        self.updates = {client: tensors(rng) for client in CLIENTS}
        self.aggregate = tensors(rng)
        job = {"job": "j", "schema": schema_of(self.base).to_json(), "statistics": "exact", "clients_per_round": 5}
        self._put("jobs/j/job.json", job | {"hot_rounds": 2, "replicas": 1, "slices": None})
        initial = self._model(0, "aggregate", self.base, 1)
        self._round(0, None, [], initial)
        members = [self._model(1, c, self.updates[c], n) for c, n in zip(CLIENTS, EXAMPLES, strict=True)]
        self._round(1, 0, members, self._model(1, "aggregate", self.aggregate, 66))

    def _put(self, key: str, value: object) -> None:
        self.store.put(key, json.dumps(value).encode())

    def _model(self, number: int, client: str, arrays: Tensors, examples: int) -> dict[str, object]:
        body = safetensors.numpy.save(arrays)
        stem = "aggregate" if client == "aggregate" else f"clients/{client}"
        self.store.put(f"jobs/j/rounds/{number:08d}/{stem}.safetensors", body)
        return {
            "client": client,
            "sha256": sha256(body).hexdigest(),
            "nbytes": len(body),
            "data_offset": parse(memoryview(body)).data_offset,
            "metrics": {"num_examples": examples},
            "received_at": 1.0,
        }

    def _round(self, number: int, base: int | None, members: list[dict[str, object]], aggregate: object) -> None:
        record = {"round": number, "base": base, "members": members, "aggregate": aggregate, "metrics": {}}
        self._put(f"jobs/j/rounds/{number:08d}/round.json", record | {"hyperparameters": {}, "committed_at": 2.0})


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Written:
    return Written(tmp_path_factory.mktemp("store"))


@pytest.fixture(scope="module")
def aggregator(written: Written) -> Iterator[Aggregator]:
    with Aggregator(written.store, "j") as ready:
        yield ready


def test_a_job_of_differences_is_refused(written: Written) -> None:
    record = load_json(written.store, layout.job(JobId("j")))
    written.store.put(layout.job(JobId("other")), to_bytes(record | {"job": "other", "updates": "delta"}))
    with pytest.raises(InvalidParameters, match="send weights"):
        Aggregator(written.store, "other")


def test_similarities_are_those_of_the_deltas(aggregator: Aggregator, written: Written) -> None:
    result = aggregator.run("cosine-similarity", {"round": 1})
    deltas = [flat(written.updates[client]) - flat(written.base) for client in result["clients"]]
    unit = np.array([delta / np.linalg.norm(delta) for delta in deltas])
    whole = flat(written.aggregate) - flat(written.base)
    assert np.allclose(result["matrix"], unit @ unit.T, atol=1e-6)
    assert np.allclose(result["with_aggregate"], unit @ whole / np.linalg.norm(whole), atol=1e-6)


@pytest.mark.parametrize("method", ["fedavg", "median"])
def test_a_model_it_writes_is_the_numpy_mean_or_median(aggregator: Aggregator, written: Written, method: str) -> None:
    result = aggregator.run("aggregate", {"method": method})
    found = aggregator.artifact(result["artifact"]["href"])
    for name, array in found.items():
        rows = np.array([written.updates[client][name] for client in CLIENTS], np.float64)
        expected = np.average(rows, axis=0, weights=EXAMPLES) if method == "fedavg" else np.median(rows, axis=0)
        assert np.allclose(array, expected, atol=1e-6)


def test_a_clients_history_is_found(aggregator: Aggregator) -> None:
    assert [past["round"] for past in aggregator.run("reputation", {"client": "c"})["history"]] == [1]
    with pytest.raises(NotFound):
        aggregator.run("reputation", {"client": "nobody"})
