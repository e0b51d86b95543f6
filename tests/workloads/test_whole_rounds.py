"""Laws of workloads over weights and updates: neither cuts of the model nor an open round change an answer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from flstore_core.schema import Schema
from flstore_core.workloads import Needs, RoundData, RoundParams, registry
from flstore_core.workloads.describe import dump
from flstore_core.workloads.norms import NormsParams, StoredModel
from tests.workloads.questions import assert_agree
from tests.workloads.rounds import schema_of
from tests.workloads.stored import MIXED, Stored
from tests.workloads.test_unlearn import EXAMPLES, TAKING_PART, history, stored

QUESTIONS: list[tuple[str, dict[str, Any]]] = [
    ("aggregate", {"method": "fedavg"}),
    ("aggregate", {"method": "median"}),
    ("aggregate", {"method": "trimmed-mean", "trim": 0.34}),
    ("aggregate", {"method": "geometric-median"}),
    ("aggregate", {"method": "krum"}),
    ("aggregate", {"method": "multi-krum", "keep": 2}),
    ("aggregate", {"method": "bulyan"}),
    ("aggregate", {"method": "clipped-mean"}),
    ("aggregate", {"method": "clipped-mean", "clip": 3.0, "noise": 0.5, "seed": 7}),
    ("inspect", {}),
    ("inspect", {"client": "c0", "round": 5}),
    ("norms", {"models": [{"round": 5, "client": "c0"}, {"round": 2, "client": "aggregate"}]}),
    ("personalize", {"clusters": 2}),
    ("personalize", {"clusters": 2, "global_share": 0.25, "metric": "euclidean"}),
    ("provenance", {"verify": True, "last": 5}),
    ("unlearn", {"client": "c0", "every": True}),
]


@cache
def answered(name: str, place: int, slices: int, schema: Schema) -> tuple[Any, list[Any]]:
    """Return the answer to a question, as JSON values, and the models it wrote."""
    workload = registry.get(name)
    rounds = stored(*history(schema.parameters, TAKING_PART), EXAMPLES, schema)
    params = _params(workload, QUESTIONS[place][1])
    return dump(rounds.ask_with(workload, params, slices)), rounds.artifacts.written


def _params(workload: Any, params: Mapping[str, Any]) -> Any:
    if workload.name != "norms":
        return workload.params(**params)
    return NormsParams([StoredModel(**model) for model in params["models"]])


@pytest.mark.parametrize("slices", [2, 3, 7])
@pytest.mark.parametrize("schema", [MIXED, schema_of(31)], ids=["mixed dtypes", "float32"])
@pytest.mark.parametrize("place", range(len(QUESTIONS)), ids=[str(question) for question in QUESTIONS])
def test_slices_change_neither_answers_nor_models(place: int, schema: Schema, slices: int) -> None:
    name, _ = QUESTIONS[place]
    (whole, models), (cut, others) = (answered(name, place, count, schema) for count in (1, slices))
    assert_agree(cut, whole, 1e-6)
    assert len(models) == len(others)
    for mine, other in zip(models, others, strict=True):
        np.testing.assert_allclose(other, mine, rtol=1e-6, atol=1e-6)


def opened(data: RoundData) -> RoundData:
    return replace(data, record=replace(data.record, committed_at=None))


OVER_ONE_ROUND = [
    name
    for name, workload in sorted(registry.load().items())
    if workload.needs in (Needs.STATISTICS, Needs.WEIGHTS) and issubclass(workload.params, RoundParams)
]


@pytest.mark.parametrize("name", OVER_ONE_ROUND)
def test_an_open_round_is_answered_as_it_stands(name: str) -> None:
    workload = registry.get(name)
    rng = np.random.default_rng(1)
    initial, sent = history(31, [[0, 1, 2, 3, 4]])
    updates = {client: row + rng.standard_normal(31) for client, row in sent[0][0].items()}
    committed = stored(initial, [(updates, sent[0][1])], EXAMPLES)
    open_round = Stored(committed.schema, [committed.rounds[0], opened(committed.rounds[1])], committed.models)
    assert open_round.index.open == [1]
    one, other = (dump(rounds.ask(workload, round=1)) for rounds in (committed, open_round))
    if "looked_at" in one:
        assert [rounds.pop("looked_at") for rounds in (one, other)] == [[0, 1], [0, 1]]
    assert one == other


def test_every_workload_over_weights_is_asked() -> None:
    over_weights = {name for name, workload in registry.load().items() if workload.needs is Needs.WEIGHTS}
    assert over_weights - {name for name, _ in QUESTIONS} <= {"signs"}
