"""`python -m loadgen run`, `report` and `compare` without a system: what their options become."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flstore_core.errors import Unavailable
from loadgen.__main__ import main
from loadgen.compare import command as compare
from loadgen.compare.comparison import Comparison
from loadgen.run import command as run
from loadgen.run.events import Update
from loadgen.run.runner import Pace
from loadgen.run.session import Session
from loadgen.systems.deployments import TITLES, System
from loadgen.traces.generator import MODEL_BYTES
from tests.loadgen.results import result

Invoke = Callable[..., Result]
LINE = {"t": 0.0, "event": "update", "job": "j", "round": 0, "client": "a", "bytes": 400}


@pytest.fixture
def trace(tmp_path: Path) -> str:
    path = tmp_path / "trace.jsonl"
    path.write_text("\n".join(json.dumps({**LINE, "t": t, "client": f"c{t}"}) for t in (0.0, 5.0, 50.0)))
    return str(path)


@pytest.fixture
def sessions(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Session, list[Any]]]:
    """Have runs end in no time; return what was to be run."""
    seen: list[tuple[Session, list[Any]]] = []

    def run_session(session: Session, events: Iterator[Any], watches: Any) -> dict[str, Any]:
        seen.append((session, list(events)))
        return result(partial=session.url.endswith(":1"))

    monkeypatch.setattr(run, "run_session", run_session)
    return seen


@pytest.fixture
def invoke(tmp_path: Path) -> Invoke:
    def call(*args: str) -> Result:
        return CliRunner().invoke(main, [*args, "-o", str(tmp_path / "out" / "results.json")])

    return call


def test_options_become_a_plan_and_a_session(
    invoke: Invoke, sessions: list[tuple[Session, list[Any]]], trace: str, tmp_path: Path
) -> None:
    options = "--target http://127.0.0.1:2 --token t --speed 60 --pace serial --seed 7 --warm-up 3 --error-budget 0.5"
    more = "--timeout 9 --kept-answers --network cloud --first 10 --model mobilenet_v3_small"
    done = invoke("run", trace, *options.split(), *more.split())
    assert done.exit_code == 0, done.output
    [(session, events)] = sessions
    assert (session.url, session.token, session.timeout_s, session.anew) == ("http://127.0.0.1:2", "t", 9.0, False)
    plan = session.plan
    assert (plan.speed, plan.pace, plan.seed, plan.warm_up_s, plan.error_budget) == (60.0, Pace.SERIAL, 7, 3.0, 0.5)
    assert session.about == {"scenario": trace, "network": "cloud"}
    assert [event.t for event in events] == [0.0, 5.0], "only the first ten seconds"
    assert {event.nbytes for event in events if isinstance(event, Update)} == {MODEL_BYTES["mobilenet_v3_small"]}
    assert json.loads((tmp_path / "out" / "results.json").read_text())["answered"] == 4
    assert (tmp_path / "out" / "results.html").read_text().startswith("<!doctype html>")


def test_a_scenario_brings_its_own_speed(invoke: Invoke, sessions: list[tuple[Session, list[Any]]]) -> None:
    assert invoke("run", "--scenario", "burst", "--first", "1").exit_code == 0
    [(session, _)] = sessions
    assert session.about["scenario"] == "burst"
    assert session.plan.pace is Pace.OPEN


@pytest.mark.parametrize("both", [True, False])
def test_a_run_needs_a_trace_or_a_scenario_and_not_both(
    invoke: Invoke, sessions: list[tuple[Session, list[Any]]], trace: str, both: bool
) -> None:
    done = invoke("run", *([trace, "--scenario", "hour"] if both else []))
    assert done.exit_code == 2
    assert "give either a trace or --scenario" in done.stderr
    assert sessions == []


def test_a_partial_run_is_kept_and_ends_with_exit_code_1(
    invoke: Invoke, sessions: list[tuple[Session, list[Any]]], trace: str, tmp_path: Path
) -> None:
    done = invoke("run", trace, "--target", "http://127.0.0.1:1", "--json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["partial"] is True
    assert (tmp_path / "out" / "results.json").exists()


def test_an_error_of_the_run_is_one_line(invoke: Invoke, trace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def run_session(*_: Any) -> dict[str, Any]:
        raise Unavailable("http://x does not answer")

    monkeypatch.setattr(run, "run_session", run_session)
    done = invoke("run", trace)
    assert (done.exit_code, done.stderr) == (1, "Error: http://x does not answer\n")


def test_several_results_go_into_one_page(tmp_path: Path) -> None:
    paths = []
    for system in ("FLStore", "Cache-Agg"):
        paths.append(tmp_path / f"{system}.json")
        paths[-1].write_text(json.dumps(result(system=system)))
    page = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["report", *map(str, paths), "-o", str(page)])
    assert (done.exit_code, done.stdout) == (0, f"{page}\n")
    assert "FLStore against Cache-Agg" in page.read_text()


def test_a_page_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    path = tmp_path / "r.json"
    path.write_text(json.dumps(result()))
    done = CliRunner().invoke(main, ["report", str(path), "-o", str(path / "page.html")])
    assert done.exit_code == 1
    assert "the page cannot be written to" in done.stderr


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Comparison, System]]:
    """Have each system be measured in no time; return the comparisons."""
    seen: list[tuple[Comparison, System]] = []

    def run_one(self: Comparison, system: System, watches: Any = ()) -> dict[str, Any]:
        seen.append((self, system))
        return result(system=TITLES[system])

    @contextmanager
    def seaweedfs() -> Iterator[Any]:
        yield type("Server", (), {"env": {"FLSTORE_S3_ENDPOINT": "http://weed"}})()

    monkeypatch.setattr(Comparison, "run_one", run_one)
    monkeypatch.setattr(compare, "seaweedfs", seaweedfs)
    return seen


def test_a_comparison_runs_each_system_over_a_store_of_its_own(
    compared: list[tuple[Comparison, System]], tmp_path: Path
) -> None:
    output = tmp_path / "out" / "compare.html"
    options = "--first 60 --speed 30 --shards 4 --cache-size 8MiB --network cloud-s3 --model lora_7b"
    done = CliRunner().invoke(main, ["compare", "-o", str(output), *options.split()])
    assert done.exit_code == 0, done.output
    assert [system for _, system in compared] == list(System)
    comparison = compared[0][0]
    deployment = comparison.deployment
    assert (deployment.store, deployment.shards, deployment.cache_size) == ("s3://load/compare", 4, "8MiB")
    assert (deployment.store_network, deployment.cache_network) == ("cloud-s3", "loopback")
    assert deployment.env["FLSTORE_S3_ENDPOINT"] == "http://weed"
    assert comparison.plan.speed == 30.0
    assert comparison.about == {"scenario": "hour, first 60 s, lora_7b"}
    events = list(comparison.events())
    assert all(event.t <= 60.0 for event in events)
    assert {event.nbytes for event in events if isinstance(event, Update)} == {MODEL_BYTES["lora_7b"]}
    assert {path.name for path in output.parent.iterdir()} == {
        "compare.html",
        "compare-flstore.json",
        "compare-objstore-agg.json",
        "compare-cache-agg.json",
    }
    assert "The same load on each" in done.output


def test_a_comparison_over_a_given_store_starts_none(compared: list[tuple[Comparison, System]], tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    CliRunner().invoke(main, ["compare", "--store", store, "--first", "1", "-o", str(tmp_path / "c.html")])
    deployment = compared[0][0].deployment
    assert deployment.store == store
    assert "FLSTORE_S3_ENDPOINT" not in deployment.env or deployment.env["FLSTORE_S3_ENDPOINT"] != "http://weed"
