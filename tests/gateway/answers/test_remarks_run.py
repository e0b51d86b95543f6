"""Answers of models that run name who gave no weight, where weights count, and what averages of models leave out."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from flstore_core import codec
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job
from flstore_core.workloads import registry
from flstore_core.workloads.describe import TENSORS_LEFT_OUT
from services.gateway.rounds.upload import Upload
from tests.fakes.store import MemoryStore
from tests.gateway.answers.test_differences_run import QUESTIONS, Predictor, schema_of
from tests.gateway.answers.test_remarks import CLIENT, HEAVY, said
from tests.gateway.answers.twins import encode, start, trained
from tests.gateway.world import NAME, World, world
from tests.models.networks import Perceptron
from tests.models.small import DATA, program

CLIENTS, OPEN = 6, 4


@cache
def job(weight: float | None) -> World:
    """Return a job with a program, three committed rounds and an open one; one client gives `weight`, or none."""
    store, schema = MemoryStore(), schema_of(Perceptron(4, 3, 2))
    gateway = world(store=store, predictor=Predictor(store))
    gateway.state.jobs.create(Job(NAME, schema))
    rng = np.random.default_rng(4)
    model, direction = start(schema, rng), start(schema, rng)
    for number in range(OPEN + 1):
        models = {f"c{client}": trained(model, client, direction, rng) for client in range(CLIENTS if number else 0)}
        for client, sent in models.items():
            given = {"num_examples": 1 + int(client[1])} if client != f"c{CLIENT}" else {"num_examples": weight}
            metrics = {name: value for name, value in given.items() if value is not None}
            body = memoryview(encode(schema, sent))
            gateway.state.ingest.put(Upload(gateway.job, number, ClientId(client), body, metrics))
        if number < OPEN:
            body = memoryview(encode(schema, model))
            gateway.state.ingest.put(Upload(gateway.job, number, AGGREGATE, body, {}))
            gateway.commit(number)
    gateway.state.programs.put_program(gateway.job, memoryview(program()))
    gateway.state.programs.put_dataset(gateway.job, "test", memoryview(codec.dumps(DATA)))
    return gateway


@pytest.mark.parametrize(("name", "params"), QUESTIONS, ids=str)
def test_whose_weight_is_missing_is_named_where_weights_count(name: str, params: Mapping[str, Any]) -> None:
    asked = {field: each for field, each in params.items() if field != "models"}
    without, light, heavy = (job(weight).run(name, **asked).result for weight in (None, 1, HEAVY))
    assert said(without) == said(light), "none counts as one example"
    averages = getattr(registry.get(name), "averages_models", False)
    assert averages >= (said(light) != said(heavy))
    assert without.get("unweighted", []) == ([f"c{CLIENT}"] if averages else [])
    assert not light.get("unweighted")
    assert without.get(TENSORS_LEFT_OUT) == ([] if averages else None), "these models hold nothing but floats"
