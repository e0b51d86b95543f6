"""The demonstration's order of calls, against a client that remembers them."""

import io
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rich.console import Console
from rich.progress import Progress

from flstore_core.client import Fields
from flstore_core.errors import InvalidParameters
from loadgen.demo import demonstration
from loadgen.demo.demonstration import demonstrate
from loadgen.demo.detection import Detection
from loadgen.demo.measure import Hot, Question
from tests.loadgen.demo.answers import answer


@dataclass
class Update:
    client: str
    arrays: dict[str, Any]
    metrics: dict[str, Any]


@dataclass
class Trained:
    number: int
    updates: list[Update]
    aggregate: dict[str, Any]
    metrics: dict[str, float]


@dataclass
class Setup:
    rounds: int = 2
    clients_per_round: int = 2
    hyperparameters: dict[str, float] = field(default_factory=lambda: {"lr": 0.1})


class Training:
    """Two rounds of two clients; the first attacker is client b."""

    def __init__(self) -> None:
        self.setup = Setup()
        self.initial = {"w": np.zeros(2, np.float32)}
        self.attackers = {"b": "sign flip"}

    def rounds(self) -> Iterator[Trained]:
        for number in (1, 2):
            updates = [Update(client, {"w": number}, {"loss": 1 / number}) for client in ("a", "b")]
            yield Trained(number, updates, {"w": -number}, {"accuracy": number / 4})


class Client:
    """Remembers what is stored, and offers three workloads."""

    def __init__(self) -> None:
        self.stored: list[tuple[Any, ...]] = []

    def create_job(self, job: str, *, like: Any, clients_per_round: int) -> None:
        self.stored.append(("create", clients_per_round))

    def put_update(self, job: str, number: int, client: str, arrays: Any, *, metrics: Any) -> None:
        self.stored.append(("update", number, client))

    def put_aggregate(self, job: str, number: int, arrays: Any) -> None:
        self.stored.append(("aggregate", number))

    def commit(self, job: str, number: int, *, metrics: Any = None, hyperparameters: Any = None) -> None:
        self.stored.append(("commit", number, metrics, hyperparameters))

    def workloads(self) -> list[Fields]:
        kinds = {"norms": "weights", "theirs": "statistics", "evaluate": "model"}
        return [Fields({"name": n, "pattern": "P2", "needs": needs, "parameters": {}}) for n, needs in kinds.items()]

    def cache(self) -> Fields:
        return Fields({"shards": [{"shard": "shard-0"}, {"shard": "shard-1"}]})

    def job(self, job: str) -> Fields:
        return Fields({"parameters": 2})


class Aggregator:
    def __init__(self, store: Any, job: str) -> None:
        self.job = job

    def __enter__(self) -> "Aggregator":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have each workload be asked in no time, one of them in vain; return the order."""
    order: list[str] = []

    def ask_hot(client: Any, aggregator: Aggregator, job: str, question: Question) -> Hot:
        order.append(f"hot {question.workload}")
        if question.workload == "theirs":
            raise InvalidParameters("give a data set")
        return Hot(answer(question.workload, {"norms": []}), 1.0, 2.0, ())

    def ask_from_zero(client: Any, job: str, question: Question, idle_s: float) -> float:
        order.append(f"zero {question.workload}")
        return 100.0

    monkeypatch.setattr(demonstration, "ask_hot", ask_hot)
    monkeypatch.setattr(demonstration, "ask_from_zero", ask_from_zero)
    monkeypatch.setattr(demonstration, "Aggregator", Aggregator)
    monkeypatch.setattr(demonstration, "detect_attackers", lambda *_: Detection({}, {}, {}))
    return order


def run(client: Client, folder: Path) -> Any:
    bars = Progress(console=Console(file=io.StringIO()))
    return demonstrate(client, str(folder), Training(), bars)  # type: ignore[arg-type]


def test_rounds_are_stored_in_order_each_whole_before_its_commit(asked: list[str], tmp_path: Path) -> None:
    client = Client()
    run(client, tmp_path)
    lr = {"lr": 0.1}
    assert client.stored[:3] == [("create", 2), ("aggregate", 0), ("commit", 0, None, lr)]
    for number in (1, 2):
        start = 3 + 4 * (number - 1)
        updates, rest = client.stored[start : start + 2], client.stored[start + 2 : start + 4]
        assert set(updates) == {("update", number, "a"), ("update", number, "b")}
        assert rest == [("aggregate", number), ("commit", number, {"accuracy": number / 4}, lr)]


def test_workloads_that_need_no_model_are_asked_hot_and_then_from_zero(asked: list[str], tmp_path: Path) -> None:
    report = run(Client(), tmp_path)
    assert asked == ["hot norms", "hot theirs", "zero norms"]
    assert [row.question.workload for row in report.rows] == ["norms"]
    assert report.refused == {"theirs": "give a data set"}


def test_the_report_sums_the_training_up(asked: list[str], tmp_path: Path) -> None:
    report = run(Client(), tmp_path)
    assert (report.updates, report.parameters, report.shards, report.accuracy) == (4, 2, 2, 0.5)
    assert report.agrees
    assert report.job.startswith("digits-")
