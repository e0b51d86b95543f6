"""Measuring the three ways, without a server: a client and an aggregator that answer as a test says."""

import time
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flstore_core.client import Answer, Fields
from flstore_core.errors import Unavailable
from loadgen.demo.detection import detect_attackers
from loadgen.demo.measure import Question, ask_from_zero, ask_hot, wait_for_zero
from loadgen.demo.questions import Scene, parameters
from tests.fakes.clock import Clock
from tests.loadgen.demo.answers import answer

SCENE = Scene(round=9, client="client-3")
QUESTION = Question("norms", "P2", {"round": 9})


class Client:
    """An FLStore whose answers and shards a test has written down."""

    def __init__(self, result: dict[str, Any], *states: list[str]) -> None:
        self._result = result
        self._states = list(states)
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def run_anew(self, job: str, workload: str, **params: Any) -> Answer:
        self.asked.append((workload, params))
        return answer(workload, self._result)

    run = run_anew

    def get_artifact(self, job: str, link: Mapping[str, Any]) -> Mapping[str, Any]:
        return {"w": np.zeros(2)}

    def cache(self) -> Fields:
        states = self._states.pop(0) if len(self._states) > 1 else self._states[0]
        return Fields({"shards": [{"shard": f"shard-{i}", "state": state} for i, state in enumerate(states)]})


class Aggregator:
    """An aggregator that gives one result, and models of ones or zeros."""

    def __init__(self, result: dict[str, Any], fill: float = 0.0) -> None:
        self._result = result
        self._fill = fill
        self.asked = 0

    def run(self, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
        self.asked += 1
        return self._result

    def artifact(self, key: str) -> Mapping[str, Any]:
        return {"w": np.full(2, self._fill)}


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    fake = SimpleNamespace(monotonic=clock, sleep=clock.sleep, perf_counter=time.perf_counter)
    monkeypatch.setattr("loadgen.demo.measure.time", fake)
    return clock


def test_the_first_answer_is_compared_and_not_timed() -> None:
    client, aggregator = Client({"norm": 1.0}), Aggregator({"norm": 1.00001})
    hot = ask_hot(client, aggregator, "j", QUESTION)  # type: ignore[arg-type]
    assert hot.differences == ()
    assert hot.answer.result.norm == 1.0
    assert client.asked == [("norms", {"round": 9})] * 8
    assert aggregator.asked == 8
    assert hot.hot_ms > 0
    assert hot.aggregator_ms > 0


def test_answers_and_models_that_differ_are_told() -> None:
    link = {"href": "/v1/jobs/j/artifacts/a", "sha256": "00"}
    client, aggregator = Client({"norm": 1.0, "artifact": link}), Aggregator({"norm": 2.0, "artifact": link}, fill=1.0)
    hot = ask_hot(client, aggregator, "j", QUESTION)  # type: ignore[arg-type]
    assert hot.differences == ("norm: 1.0 against 2.0", "artifact: tensor 'w' differs")


def test_shards_are_left_alone_until_they_should_be_gone(clock: Clock) -> None:
    client = Client({}, ["awake", "zero"], ["zero", "zero"])
    assert ask_from_zero(client, "j", QUESTION, idle_s=2.0) > 0  # type: ignore[arg-type]
    assert clock.pauses == [3.0]
    assert client.asked == [("norms", {"round": 9})]


def test_shards_that_stay_awake_are_named(clock: Clock) -> None:
    with pytest.raises(Unavailable, match="shards shard-1 are still awake, though nobody asked them anything"):
        wait_for_zero(Client({}, ["zero", "awake"]), idle_s=2.0)  # type: ignore[arg-type]
    assert 30.0 <= clock.now <= 40.0


class Training:
    """As much of a training as detection asks about."""

    class setup:  # noqa: N801 - an attribute's name
        rounds = 3

    class _Attack:
        value = "sign flip"

    attackers: Mapping[str, Any] = {"a": _Attack}


def test_attackers_are_detected_over_all_rounds() -> None:
    client = Client({"verdicts": [{"client": "a"}, {"client": "b"}], "malicious": ["a"]})
    detection = detect_attackers(client, "j", Training())  # type: ignore[arg-type]
    assert [params["round"] for _, params in client.asked] == [1, 2, 3]
    assert (detection.rounds, detection.accusations) == ({"a": 3, "b": 3}, {"a": 3})
    assert (detection.found, detection.honest_accused) == (["a"], [])


@pytest.mark.parametrize(
    ("name", "schema", "params"),
    [
        ("clustering", {"properties": {"round": {}, "clusters": {}}}, {"round": 9}),
        ("reputation", {"properties": {"client": {}}, "required": ["client"]}, {"client": "client-3"}),
        ("norms", {"properties": {"models": {}}, "required": ["models"]}, {"models": [{"round": 9}]}),
        ("drift", {"properties": {"client": {}}}, {}),
        ("aggregate", {"properties": {"round": {}}}, {"method": "median", "round": 9}),
        ("theirs", {}, {}),
    ],
)
def test_a_workload_is_asked_about_the_last_round_and_an_attacker_if_it_must_be(
    name: str, schema: dict[str, Any], params: dict[str, Any]
) -> None:
    assert parameters({"name": name, "parameters": schema}, SCENE) == params
