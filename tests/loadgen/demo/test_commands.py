"""`flstore demo` and `flstore demo-models` without a system: options, output, exit codes."""

import builtins
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flstore_core.cli import main
from flstore_core.client import Fields
from flstore_core.errors import Unavailable
from loadgen.demo import command, models
from services.local.running import Addresses
from tests.loadgen.demo.test_report import report, row


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Have the system start and the demonstration end in no time; return what was asked of both."""
    seen: list[dict[str, Any]] = []

    @contextmanager
    def running(store: str, **options: Any) -> Iterator[Addresses]:
        seen.append({"store": store, **options})
        yield Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")

    def demonstrate(client: Any, store: str, training: Any, bars: Any) -> Any:
        seen[-1] |= {"rounds": training.setup.rounds, "quiet": bars.disable}
        return report(row(*(["norm: 1 against 2"] if training.setup.rounds == 7 else [])))

    monkeypatch.setattr(command, "running", running)
    monkeypatch.setattr(command, "demonstrate", demonstrate)
    return seen


def flstore(*args: str) -> Result:
    return CliRunner().invoke(main, args)


def test_the_data_lie_in_a_folder_that_is_thrown_away(started: list[dict[str, Any]]) -> None:
    result = flstore("demo")
    assert result.exit_code == 0, result.output
    [run] = started
    assert (run["shards"], run["idle_seconds"], run["rounds"]) == (2, 2.0, 20)
    assert not Path(run["store"]).parent.exists()
    assert "FLStore and the aggregator agree on every answer" in result.stdout


@pytest.mark.parametrize(("chosen", "kept"), [("s3://bucket", "s3://bucket"), ("kept", "{folder}/kept")])
def test_a_chosen_store_is_kept_and_a_folder_is_made_absolute(
    started: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chosen: str, kept: str
) -> None:
    monkeypatch.chdir(tmp_path)
    flstore("demo", "--store", chosen)
    assert started[0]["store"] == kept.format(folder=tmp_path)


def test_scripts_get_json_and_no_bars(started: list[dict[str, Any]]) -> None:
    data = json.loads(flstore("demo", "--json").stdout)
    assert data["workloads"][0]["speedup"] == 15.0
    assert started[0]["quiet"] is True


def test_disagreement_ends_with_exit_code_1(started: list[dict[str, Any]]) -> None:
    result = flstore("demo", "--rounds", "7")
    assert result.exit_code == 1
    assert "DISAGREE" in result.stdout


def test_too_few_rounds_are_refused(started: list[dict[str, Any]]) -> None:
    assert flstore("demo", "--rounds", "4").exit_code == 2
    assert started == []


ANSWERS: dict[str, dict[str, Any]] = {
    "inference": {"outputs": [{"data": [0.1, 0.9, 0.3]}], "model_version": "4"},
    "evaluate": {"models": [{"model": "client-0", "accuracy": 0.5}, {"model": "aggregate", "accuracy": 0.91}]},
    "schedule-accuracy": {"chosen": ["a", "b"]},
    "debug": {"faulty": []},
    "contribution-evaluated": {"shares": [{"client": "a", "value": 0.5}, {"client": "b", "value": -0.25}]},
    "llm-inference": {"continuations": [{"tokens": [9, 2, 6]}]},
}


class Client:
    """Answers the six workloads that run a model."""

    def __init__(self, url: str, timeout: float) -> None:
        self.asked: list[str] = []

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    def run(self, job: str, workload: str, **params: Any) -> Any:
        return SimpleNamespace(result=Fields(ANSWERS[workload]))


@pytest.fixture
def trained(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def running(store: str, **options: Any) -> Iterator[Addresses]:
        yield Addresses("http://127.0.0.1:1", "http://127.0.0.1:2")

    training = SimpleNamespace(store_digits=lambda *_: None, store_language_model=lambda *_: None, FAULTY="client-3")
    monkeypatch.setattr(models, "running", running)
    monkeypatch.setattr(models, "FLStore", Client)
    monkeypatch.setitem(sys.modules, "loadgen.demo.models_training", training)
    monkeypatch.setattr("loadgen.demo.models_training", training, raising=False)


@pytest.mark.usefixtures("trained")
def test_every_workload_that_runs_a_model_is_told_in_a_line() -> None:
    rows = json.loads(flstore("demo-models", "--json").stdout)
    assert {each["workload"]: each["answer"] for each in rows} == {
        "inference": "a 1, says the aggregate of round 4",
        "evaluate": "accuracy client-0 50%, aggregate 91%",
        "schedule-accuracy": "next: a, b",
        "debug": "faulty: nobody",
        "contribution-evaluated": "least: b (-0.250)",
        "llm-inference": "[3, 1, 4, 1, 5] → [9, 2, 6]",
    }
    assert all(each["ms"] >= 0 for each in rows)


@pytest.mark.usefixtures("trained")
def test_the_table_names_the_faulty_client() -> None:
    shown = flstore("demo-models").stdout
    assert "client-3 was trained on noise" in shown
    assert "says the aggregate of round 4" in " ".join(shown.split())


def test_without_pytorch_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *arguments: Any) -> Any:
        if name == "loadgen.demo" and arguments[2:3] == (("models_training",),):
            raise ImportError("No module named 'torch'", name="torch")
        return real(name, *arguments)

    monkeypatch.setattr(builtins, "__import__", without)
    result = flstore("demo-models")
    assert result.exit_code == 1
    assert "torch is missing; pip install 'flstore-server[torch,demo]'" in result.stderr


def test_a_system_that_does_not_start_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def running(store: str, **options: Any) -> Any:
        raise Unavailable("gateway ended before it was ready; its log says why")

    monkeypatch.setattr(command, "running", running)
    result = flstore("demo")
    assert result.exit_code == 1
    assert result.stderr.strip().endswith("gateway ended before it was ready; its log says why")


def test_a_system_that_is_kept_stays_until_it_is_interrupted(
    started: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Interrupted:
        def wait(self) -> None:
            raise KeyboardInterrupt

    monkeypatch.setattr(command, "threading", SimpleNamespace(Event=Interrupted))
    result = flstore("demo", "--keep")
    assert result.exit_code == 0, result.output
    assert "console: http://127.0.0.1:" in result.stderr
