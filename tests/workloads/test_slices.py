"""Every workload over statistics or weights, the whole registry: the number of slices of a model changes no answer."""

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Round
from flstore_core.statistics import RoundStatistics
from flstore_core.workloads import Needs, RoundData, registry
from flstore_core.workloads.describe import dump, validate
from tests.workloads.questions import assert_agree, questions, questions_of_weights
from tests.workloads.rounds import ask, make_round, member, schema_of
from tests.workloads.stored import Stored

CLIENTS, PARAMETERS, ROUNDS = 8, 4099, 3
NAMES = [f"c{row}" for row in range(CLIENTS)]


@cache
def arrays(number: int) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Return the base and the models of a round as float32: two groups of clients, and one that turned around."""
    rng = np.random.default_rng(number)
    base = rng.standard_normal(PARAMETERS)
    groups = rng.standard_normal((2, PARAMETERS))
    deltas = 0.05 * (groups[np.arange(CLIENTS) % 2] + groups.mean(axis=0) + rng.standard_normal((CLIENTS, PARAMETERS)))
    deltas[3] *= -1
    return base.astype(np.float32), (base + deltas).astype(np.float32)


@cache
def rounds(slices: int) -> tuple[RoundData, ...]:
    """Return the rounds with statistics by the same code as in a shard."""
    return tuple(reported(number, sliced(number, slices)) for number in range(ROUNDS))


@cache
def exact_rounds() -> tuple[RoundData, ...]:
    """Return the same rounds with statistics from float64 arrays."""
    exact = []
    for number in range(ROUNDS):
        base, models = (array.astype(np.float64) for array in arrays(number))
        deltas = np.vstack([models - base, models.mean(axis=0).astype(np.float32) - base])
        cut = PARAMETERS - PARAMETERS // 3
        squares = np.stack([(deltas[:, :cut] ** 2).sum(axis=1), (deltas[:, cut:] ** 2).sum(axis=1)], axis=1)
        everyone = (*map(ClientId, NAMES), AGGREGATE)
        exact.append(reported(number, RoundStatistics(everyone, deltas @ deltas.T, squares)))
    return tuple(exact)


def sliced(number: int, slices: int) -> RoundStatistics:
    base, models = arrays(number)
    aggregate = models.astype(np.float64).mean(axis=0).astype(np.float32)
    data = make_round(models, NAMES, number=number, base=base, aggregate=aggregate, slices=slices)
    assert data.statistics is not None
    return data.statistics


def reported(number: int, statistics: RoundStatistics) -> RoundData:
    metrics = [{"num_examples": 10 + row, "loss": 1.0 / (1 + row), "duration_s": 1.0 + row} for row in range(CLIENTS)]
    members = tuple(member(name, each) for name, each in zip(NAMES, metrics, strict=True))
    return RoundData(Round(number, None, members, member(AGGREGATE), committed_at=1.0), statistics)


def answer(name: str, params: Mapping[str, Any], data: tuple[RoundData, ...]) -> Any:
    workload = registry.get(name)
    several = workload.pattern.value in ("P3", "P4") or name == "schedule-clusters"
    return dump(ask(workload, data if several else data[-1], **params))


@pytest.mark.parametrize(("name", "params"), questions(), ids=str)
@pytest.mark.parametrize("slices", [2, 5])
def test_slices_change_no_answer(name: str, params: dict[str, Any], slices: int) -> None:
    assert_agree(answer(name, params, rounds(slices)), answer(name, params, rounds(1)), 1e-6)


@pytest.mark.parametrize(("name", "params"), questions(), ids=str)
@pytest.mark.parametrize("slices", [1, 2, 5])
def test_answers_are_those_of_float64_arrays(name: str, params: dict[str, Any], slices: int) -> None:
    assert_agree(answer(name, params, rounds(slices)), answer(name, params, exact_rounds()), 1e-5)


def test_every_workload_over_statistics_is_asked_with_each_of_its_methods() -> None:
    asked = {(name, params.get("method")) for name, params in questions()}
    assert {("clustering", "cfl"), ("contribution", "shapley"), ("incentives", "monte-carlo")} <= asked
    assert {("malicious-filter", "fltrust"), ("malicious-filter", "flame"), ("malicious-filter", None)} <= asked
    needing = {name for name, workload in registry.load().items() if workload.needs is Needs.STATISTICS}
    assert {name for name, _ in asked} == needing


@cache
def history() -> tuple[tuple[RoundData, ...], Mapping[tuple[int, str], np.ndarray[Any, Any]]]:
    """Return rounds that start from each other's aggregates, and all models by round and client."""
    models: dict[tuple[int, str], np.ndarray[Any, Any]] = {}
    committed = []
    for number in range(ROUNDS):
        base, updates = arrays(number)
        base = models.get((number - 1, AGGREGATE), base)
        models |= {(number, name): base + update for name, update in zip(NAMES, updates, strict=True)}
        models[number, AGGREGATE] = np.stack([models[number, name] for name in NAMES]).mean(axis=0)
        rows = np.stack([models[number, name] for name in NAMES])
        data = make_round(rows, NAMES, number=number, base=base, aggregate=models[number, AGGREGATE])
        committed.append(RoundData(replace(data.record, base=number - 1 if number else None), data.statistics))
    return tuple(committed), models


def answer_of_weights(name: str, params: Mapping[str, Any], slices: int) -> tuple[Any, list[Any]]:
    """Return a workload's answer, and the models it wrote."""
    committed, models = history()
    stored = Stored(schema_of(PARAMETERS), committed, models)
    workload = registry.get(name)
    return dump(stored.ask_with(workload, validate(workload, params), slices)), stored.artifacts.written


@pytest.mark.parametrize(("name", "params"), questions_of_weights(), ids=str)
@pytest.mark.parametrize("slices", [2, 5])
def test_slices_change_neither_an_answer_nor_a_model(name: str, params: dict[str, Any], slices: int) -> None:
    (answer, written), (expected, whole) = (answer_of_weights(name, params, count) for count in (slices, 1))
    assert_agree(answer, expected, 1e-6)
    assert len(written) == len(whole)
    for model, other in zip(written, whole, strict=True):
        np.testing.assert_allclose(model, other, rtol=1e-6, atol=1e-6)


def test_every_workload_over_weights_is_asked_with_each_of_its_methods() -> None:
    asked = {(name, params.get("method")) for name, params in questions_of_weights()}
    assert {("aggregate", "bulyan"), ("aggregate", "median"), ("unlearn", "calibrate"), ("norms", None)} <= asked
    assert {name for name, _ in asked} == {
        name for name, workload in registry.load().items() if workload.needs is Needs.WEIGHTS
    }
