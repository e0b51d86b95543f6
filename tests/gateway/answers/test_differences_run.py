"""Models that are stored as differences run as the models they stand for: every workload over models, and KServe."""

from collections.abc import Mapping
from functools import cache
from random import Random
from typing import Any

import numpy as np
import pytest
import torch
from torch.export import Dim

from flstore_core import codec
from flstore_core.cache import Cache, Ledger
from flstore_core.errors import NotEnoughData
from flstore_core.models.engine import Engine
from flstore_core.models.library import Item
from flstore_core.models.protocol import RunRequest
from flstore_core.policies.registry import make_policy
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard.protocol import WORK_HEADER
from flstore_core.workloads import Needs, registry
from services.gateway.answers.question import Options
from services.predictor.versions import Versions
from tests.fakes.processes import OwnProcesses
from tests.fakes.store import MemoryStore
from tests.fakes.wire import Reply, Sent
from tests.gateway.answers.twins import Twins
from tests.gateway.world import NAME, World
from tests.models.fixtures import CODES, plain
from tests.models.networks import Causal, Perceptron, exported
from tests.models.small import DATA, program
from tests.workloads.questions import assert_agree

ROWS = np.arange(8, dtype=np.float32).reshape(2, 4)
INPUTS = [{"name": "images", "datatype": "FP32", "shape": [2, 4], "data": ROWS.ravel().tolist()}]
QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("contribution-evaluated", {"method": "exact", "clients": ["c0", "c1", "c3"], "utility": "loss"}),
    ("contribution-evaluated", {"method": "leave-one-out", "round": 1}),
    ("debug", {}),
    ("debug", {"round": 4, "faults": 2}),
    ("evaluate", {}),
    ("evaluate", {"models": ["0", "2:c5", "4:c3"]}),
    ("inference", {"inputs": INPUTS}),
    ("inference", {"inputs": INPUTS, "model": "3:c3"}),
    ("schedule-accuracy", {"round": 2}),
]


class Predictor:
    """A predictor's real engine behind the wire."""

    def __init__(self, store: MemoryStore) -> None:
        clock = iter(range(10**9)).__next__
        cache: Cache[Item] = Cache(Ledger(make_policy("lru", 10**7, clock, Random(0)), 10**7, clock))
        self.engine = Engine(store, cache, OwnProcesses())

    def __call__(self, sent: Sent) -> Reply:
        answer = self.engine.run(RunRequest.from_json(sent.message), self.engine.begin())
        return Reply(b"".join(answer.parts), headers={WORK_HEADER: answer.work.to_header()})


def schema_of(module: torch.nn.Module) -> Schema:
    tensors = plain(module)
    return Schema.of(TensorSpec(name, CODES[t.dtype], tuple(t.shape)) for name, t in tensors.items())


def running(module: torch.nn.Module, program: bytes, *, based: bool = True) -> Twins:
    """Return both jobs with a program and the data set `test`."""
    twins = Twins.of(schema_of(module), based=based, predictor=Predictor)
    for gateway in (twins.weights, twins.differences):
        gateway.state.programs.put_program(gateway.job, memoryview(program))
        gateway.state.programs.put_dataset(gateway.job, "test", memoryview(codec.dumps(DATA)))
    return twins


@cache
def perceptrons(based: bool = True) -> Twins:
    return running(Perceptron(4, 3, 2), program(), based=based)


@pytest.mark.parametrize(("name", "params"), QUESTIONS, ids=str)
def test_models_that_run_are_those_of_the_same_training_sent_as_weights(name: str, params: Mapping[str, Any]) -> None:
    pair = perceptrons()
    found, expected = (gateway.run(name, **params).result for gateway in (pair.differences, pair.weights))
    assert_agree(found, expected, 1e-6)


def test_language_models_continue_as_those_sent_as_weights() -> None:
    torch.manual_seed(0)
    module = Causal(16, 8, 1, 16)
    tokens = torch.ones(2, 5, dtype=torch.int64)
    pair = running(module, exported(module, tokens, dynamic={0: Dim("batch"), 1: Dim("length", max=16)}))
    params: dict[str, Any] = {"prompts": [[1, 2, 3], [5]], "max_new_tokens": 4, "model": "2:c4"}
    found, expected = (gateway.run("llm-inference", **params).result for gateway in (pair.differences, pair.weights))
    assert_agree(found, expected, 1e-6)


def test_every_workload_over_models_is_asked() -> None:
    needing = {name for name, workload in registry.load().items() if workload.needs is Needs.MODEL}
    assert {name for name, _ in QUESTIONS} | {"llm-inference"} == needing


def test_an_artifact_of_differences_runs_as_the_model_that_it_is() -> None:
    pair = perceptrons()
    results = []
    for gateway in (pair.differences, pair.weights):
        link = gateway.run("aggregate", round=2).result["artifact"]["href"]
        results.append(gateway.run("inference", inputs=INPUTS, model=f"artifact:{link.rpartition('/')[2]}").result)
    assert_agree(results[0]["outputs"], results[1]["outputs"], 1e-6)


@pytest.mark.parametrize("version", ["", "2:c3", "4:c0", "0"])
def test_a_predictor_that_is_asked_directly_adds_the_base_too(version: str) -> None:
    pair = perceptrons()
    (_, found), (_, expected) = (infer(gateway, version) for gateway in (pair.differences, pair.weights))
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-6)


def test_a_model_is_added_up_once_and_then_kept() -> None:
    gateway = running(Perceptron(4, 3, 2), program()).differences
    first, again = (gateway.run("inference", Options(recompute=True), inputs=INPUTS, model="1:c7") for _ in range(2))
    assert (first.execution.work.misses, again.execution.work.misses) == (3, 0), "program, difference, base"
    assert first.result == again.result


def test_a_difference_from_a_model_that_is_not_stored_does_not_run() -> None:
    gateway = perceptrons(based=False).differences
    message = "the updates of round 1 of job 'job' are differences from a model that is not stored"
    with pytest.raises(NotEnoughData, match=message):
        gateway.run("inference", inputs=INPUTS, model="1:c0")
    with pytest.raises(NotEnoughData, match=message):
        infer(gateway, "1:c0")
    assert gateway.run("inference", inputs=INPUTS, model="1").result["outputs"], "an aggregate is a model"


def infer(gateway: World, version: str) -> tuple[str, list[Any]]:
    """Return what a predictor answers to the Open Inference Protocol."""
    clock = iter(range(10**9)).__next__
    return Versions(gateway.store, Predictor(gateway.store).engine, clock, 1.0).infer(NAME, version, {"images": ROWS})
