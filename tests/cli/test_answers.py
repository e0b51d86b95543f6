"""What commands print on a screen of 80 columns, and what they leave as it was: the JSON."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from click.testing import CliRunner, Result
from rich.cells import cell_len

from flstore_core.cli import main
from tests.cli.test_commands import CACHE, EXECUTION, JOB, STARTS, TABLE
from tests.client.scripted import Script
from tests.presentation.answers import NAMES, PLANTED, answer

HOSTILE = [
    "[red]x[/]",
    "[/x]",
    ":smile:",
    "a\x1b[31mb",
    "a\nb",
    "\u202eabc",
    "אבגד",
    "n" * 300,
    "n" * 150 + "m" + "n" * 149,
]
Run = Callable[..., Result]


@pytest.fixture
def narrow(script: Script) -> Run:
    """Run `flstore` on a screen of 80 columns."""
    env = {"FLSTORE_URL": script.url, "COLUMNS": "80", "NO_COLOR": None, "TERM": "xterm"}
    return lambda *args: CliRunner(env=env).invoke(main, args)


def envelope(workload: str, result: Any) -> dict[str, Any]:
    return {
        "job": "digits",
        "workload": workload,
        "pattern": "P2",
        "rounds": [1],
        "result": result,
        "execution": EXECUTION,
    }


def test_the_first_line_is_the_finding_and_the_last_says_how_it_was_answered(narrow: Run, script: Script) -> None:
    script.reply(envelope("malicious-filter", answer("malicious-filter")))
    output = narrow("run", "digits", "malicious-filter").output
    first, *rest = output.splitlines()
    assert first == f"Round 1: 1 of 10 clients looks malicious: {PLANTED}"
    assert all(cell_len(line) <= 80 for line in rest)
    assert "points the opposite way" in output
    assert "…" not in output
    assert "malicious-filter (P2) on digits, round 1, answered by the shards" in " ".join(output.split())


def test_wide_shows_every_heading_and_json_stays_the_servers(narrow: Run, script: Script) -> None:
    sent = envelope("malicious-filter", answer("malicious-filter"))
    script.reply(sent)
    wide = narrow("run", "digits", "malicious-filter", "--wide").output
    assert all(name.replace("_", " ") in wide for name in {*answer("malicious-filter")["verdicts"][0]} - {"trust"})
    for options in ([], ["--wide"]):
        assert (
            narrow("run", "digits", "malicious-filter", "--json", *options).output == json.dumps(sent, indent=2) + "\n"
        )


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_shown_as_text(narrow: Run, script: Script, name: str) -> None:
    result = json.loads(json.dumps(answer("malicious-filter")).replace(json.dumps(PLANTED), json.dumps(name)))
    script.reply(envelope("malicious-filter", result))
    done = narrow("run", "digits", "malicious-filter")
    assert done.exit_code == 0
    assert "1 of 10 clients looks malicious: " in done.output
    assert not any(each in done.output for each in "\x1b\u202e\x07")
    assert all(cell_len(line) <= 80 for line in done.output.splitlines())
    assert all(innocent in done.output for innocent in NAMES if innocent != PLANTED)
    if len(name) < 20 and name.isprintable() and "\u202e" not in name:
        assert done.output.count(name) >= 3


def test_hostile_names_that_differ_in_the_middle_alone_stay_two(narrow: Run, script: Script) -> None:
    rows = [{"client": name, "round": 1, "norm": 1.0 + row} for row, name in enumerate(HOSTILE)]
    script.reply(envelope("norms", {"norms": rows}))
    shown = [line.split("  ")[0] for line in narrow("run", "digits", "norms").output.splitlines()]
    rule = next(index for index, line in enumerate(shown) if line.startswith("──"))
    assert len(set(shown[rule + 1 : rule + 1 + len(HOSTILE)])) == len(HOSTILE)


def test_jobs_are_listed_whole(narrow: Run, script: Script) -> None:
    jobs = [JOB | {"job": name, "open": [2, 3, 4, 9]} for name in (*NAMES, "j" * 128)]
    script.reply({"jobs": jobs})
    output = narrow("jobs").output
    assert output.splitlines()[0].split() == ["job", "parameters", "update", "committed"]
    assert "also there: latest, open; --wide shows all" in output
    wide = narrow("jobs", "list", "--wide").output
    assert "2-4, 9" in wide
    assert all(name in output for name in NAMES)
    assert all(cell_len(line) <= 80 for line in (output + wide).splitlines())


def test_a_job_is_shown_whole(narrow: Run, script: Script) -> None:
    name = "backbone.layer4.1.conv2.weight"
    script.reply(JOB | {"schema": [{"name": name, "dtype": "F32", "shape": [512, 512, 3, 3]}], "statistics": "exact"})
    script.reply({"rounds": [{"round": 7, "committed": True, "clients": 10, "base": 6}]})
    output = narrow("jobs", "j").output
    assert [line.split() for line in output.splitlines()][-1] == ["7", "yes", "10", "6"]
    assert f"{name}  F32    512, 512, 3, 3" in output


def test_a_status_has_no_cut_heading(narrow: Run, script: Script) -> None:
    shards = [{**CACHE["shards"][0], "last_start": STARTS[1]}, {"shard": "shard-1", "state": "zero"}]  # type: ignore[index]
    for _ in range(2):
        script.reply({**CACHE, "shards": shards})
        script.reply(TABLE)
        script.reply({"jobs": [JOB | {"job": NAMES[0]}]})
    output, wide = narrow("status").output, narrow("status", "--wide").output
    headings = " ".join(output.splitlines()[1].split())
    assert headings == "shard state last start holds of hit rate objects"
    assert "restart (OOMKilled), 3.2 s" in output
    assert "also there: P1, P2, P3, P4; --wide shows all" in output
    for heading in ("parameters", "committed", "latest", "open", "on shards", "slices", "replicas", "P1", "P4"):
        assert heading in wide
    assert all(cell_len(line) <= 80 for line in (output + wide).splitlines())
    assert "…" not in output + wide


def test_workloads_and_their_parameters_fit() -> None:
    runner = CliRunner(env={"FLSTORE_URL": None, "COLUMNS": "80"})
    for arguments in ([], ["malicious-filter"], ["schedule-performance"]):
        output = runner.invoke(main, ["workloads", *arguments]).output
        assert all(cell_len(line) <= 80 for line in output.splitlines())
        assert "…" not in output
    assert (
        "method  robust | foolsgold | fltrust | flame, default robust"
        in runner.invoke(main, ["workloads", "malicious-filter"]).output
    )
