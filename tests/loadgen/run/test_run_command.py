"""The runner, end to end against a real FLStore and against targets that misbehave."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from flstore_core.client import FLStore
from loadgen.__main__ import main
from loadgen.systems.deployments import Deployment, System, started
from tests.servers import free_ports

SCENARIO = """
about: small
trace: {mix: paper, clients: 12, per_round: 4, rounds: 5, requests: 24, hours: 0.05, seed: 3}
"""
TINY = 4096


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("load")
    with started(System.FLSTORE, Deployment(str(folder / "store"), cache_size="16MiB", log=folder / "log")) as url:
        yield url


@pytest.fixture
def trace(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A trace of small updates, of a job of its own."""
    path = tmp_path / "trace.jsonl"
    job = re.sub("[^a-z0-9_]+", "-", request.node.name)[:60]
    options = ["--clients", "12", "--per-round", "4", "--rounds", "5", "--requests", "24", "--hours", "0.05"]
    made = CliRunner().invoke(main, ["trace", *options, "--job", job, "-o", str(path)])
    assert made.exit_code == 0, made.output
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for line in lines:
        line.update({name: TINY for name in ("bytes", "aggregate_bytes") if name in line})
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def run(path: Path | str, url: str, output: Path, *options: str) -> tuple[Result, dict[str, Any]]:
    arguments = ["run", str(path), "--target", url, "-o", str(output), "--speed", "60", *options]
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    found = json.loads(output.read_text()) if output.exists() else {}
    return result, found


def test_a_trace_is_replayed_whole_and_ingest_lands_in_the_store(url: str, trace: Path, tmp_path: Path) -> None:
    result, found = run(trace, url, tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert (found["asked"], found["answered"], found["errors"]) == (24, 24, {})
    assert found["requests"]["overall"]["count"] == 24
    assert found["uploads"]["count"] == 5 * (4 + 1)
    with FLStore(url) as client:
        job = json.loads(trace.read_text().splitlines()[0])["job"]
        assert client.job(job).committed == 5
        assert client.round(job, 3).base == 2


def test_the_page_stands_alone_and_shows_every_picture(url: str, trace: Path, tmp_path: Path) -> None:
    run(trace, url, tmp_path / "out.json")
    page = (tmp_path / "out.html").read_text()
    for title in ("Latency: share", "Hit rate", "Awake shards", "Cost of the requests"):
        assert title in page
    assert "data:image/svg+xml;base64," in page
    assert "<script" not in page
    assert page.count('src="') == page.count('src="data:') == 4


def test_serial_pace_leaves_the_traces_times_out(url: str, trace: Path, tmp_path: Path) -> None:
    result, found = run(trace, url, tmp_path / "out.json", "--pace", "serial", "--speed", "0.001")
    assert result.exit_code == 0, result.output
    assert found["answered"] == 24
    assert "one after the other" in found["headline"]


def test_warm_up_is_asked_and_not_counted(url: str, trace: Path, tmp_path: Path) -> None:
    _, found = run(trace, url, tmp_path / "out.json", "--warm-up", "1.5")
    assert found["asked"] == 24
    assert 0 < found["answered"] < 24


def test_an_unreachable_target_is_named(trace: Path, tmp_path: Path) -> None:
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    result, found = run(trace, url, tmp_path / "out.json")
    assert result.exit_code == 1
    assert f"{url} does not answer" in result.output
    assert found == {}


def test_a_trace_for_another_schema_ends_the_run_with_what_there_is(url: str, trace: Path, tmp_path: Path) -> None:
    run(trace, url, tmp_path / "first.json")
    other = trace.with_name("other.jsonl")
    other.write_text(trace.read_text().replace(str(TINY), str(2 * TINY)))
    result, found = run(other, url, tmp_path / "out.json")
    assert result.exit_code == 1
    assert found["partial"] is True
    assert found["headline"].startswith("PARTIAL: job")


def test_a_target_that_answers_errors_spends_the_budget(url: str, trace: Path, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in trace.read_text().splitlines()]
    for line in lines:
        if line["event"] == "request":
            line.update(pattern="P2", workload="clustering", keys=[{"round": 99, "client": "nobody"}])
    trace.write_text("".join(json.dumps(line) + "\n" for line in lines))
    result, found = run(trace, url, tmp_path / "out.json")
    assert result.exit_code == 1
    assert "not-found" in found["headline"]
    assert found["uploads"]["count"] > 0


def test_a_full_disk_is_told_and_what_was_written_is_named(url: str, trace: Path) -> None:
    result, _ = run(trace, url, Path("/dev/full/out.json"))
    assert result.exit_code == 1
    assert "results cannot be written" in result.output


@pytest.mark.parametrize("line", ["{", '{"t": 0, "event": "nap"}', "[]", '{"t": "x", "event": "commit"}'])
def test_a_bad_line_is_named(url: str, trace: Path, tmp_path: Path, line: str) -> None:
    text = trace.read_text().splitlines()
    trace.write_text("\n".join([*text[:3], line]) + "\n")
    result, found = run(trace, url, tmp_path / "out.json")
    assert result.exit_code == 1
    assert "line 4" in found["headline"]


def test_results_of_several_runs_go_into_one_report(url: str, trace: Path, tmp_path: Path) -> None:
    run(trace, url, tmp_path / "a.json")
    run(trace, url, tmp_path / "b.json")
    report = tmp_path / "report.html"
    done = CliRunner().invoke(main, ["report", str(tmp_path / "a.json"), str(tmp_path / "b.json"), "-o", str(report)])
    assert done.exit_code == 0
    assert report.read_text().count("<h2>") == 2
    refused = CliRunner().invoke(main, ["report", str(trace)])
    assert refused.exit_code == 1
    assert "flstore-load/1" in refused.output or "no results" in refused.output


def test_a_scenario_file_is_run(url: str, tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text(SCENARIO.replace("seed: 3", "seed: 3, job: from-yaml"))
    arguments = ["run", "--scenario", str(path), "--target", url, "--speed", "60", "-o", str(tmp_path / "o.json")]
    result = CliRunner().invoke(main, [*arguments, "--first", "1"])
    assert result.exit_code == 0, result.output
