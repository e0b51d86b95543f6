"""`flstore simulate`, as people call it."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from flstore_core.simulator.command import simulate_command
from loadgen.traces.generator import TraceSettings, generate

FIELDS = {"requests", "hits", "hit_rate", "key_hit_rate", "byte_hit_rate", "evictions", "prefetches", "prefetches_used"}


@pytest.fixture
def trace(tmp_path: Path) -> Path:
    path = tmp_path / "trace.jsonl"
    settings = TraceSettings(rounds=20, requests=60, hours=1.0)
    path.write_text("".join(json.dumps(event) + "\n" for event in generate(settings)))
    return path


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(simulate_command, [str(argument) for argument in arguments])


def test_json_has_the_documented_form(trace: Path, tmp_path: Path) -> None:
    output = tmp_path / "out.json"
    result = _run(trace, "--policy", "tailored, lru,belady", "--budget", "2GiB", "--json", output)
    assert result.exit_code == 0, result.output
    policies = json.loads(output.read_text())["policies"]
    assert list(policies) == ["tailored", "lru", "belady"]
    for figures in policies.values():
        assert list(figures) == ["overall", "P1", "P2", "P3", "P4"]
        assert all(figures[name].keys() >= FIELDS for name in figures)
        assert figures["overall"]["requests"] == sum(figures[f"P{n}"]["requests"] for n in range(1, 5)) == 60
    assert "tailored" in result.output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("--policy", "tailord"), "policy 'tailord' does not exist; nearest: tailored"),
        (("--budget", "10MiB"), "has 46758048 bytes and the cache's whole budget is 10485760"),
        (("--budget", "0"), "budget is 0 bytes"),
        (("--budget", "much"), "size 'much' is not usable"),
    ],
)
def test_what_cannot_be_done_is_refused_clearly(trace: Path, arguments: tuple[str, ...], complaint: str) -> None:
    result = _run(trace, *arguments)
    assert result.exit_code == 1
    assert complaint in result.output


def test_a_truncated_trace_is_refused_by_line(trace: Path) -> None:
    text = trace.read_text()
    trace.write_text(text[:-30])
    result = _run(trace)
    assert result.exit_code == 1
    assert f"line {text.count(chr(10))}: not a whole JSON object" in result.output


def test_the_table_has_a_row_for_all_and_one_for_each_pattern_that_was_requested(trace: Path) -> None:
    lines = _run(trace, "--policy", "lru").output.splitlines()
    assert lines[0].startswith("trace.jsonl: ")
    rows = [line.split() for line in lines if line.strip() and line.split()[0] in {"lru", "P1", "P2", "P3", "P4"}]
    assert [row[0] for row in rows] == ["lru", "P1", "P2", "P3", "P4"]
    hits, misses = (sum(int(row[column]) for row in rows[1:]) for column in (1, 2))
    assert (rows[0][1:4], hits + misses) == (["all", str(hits), str(misses)], 60)


def test_a_seed_makes_a_random_policy_repeatable(trace: Path) -> None:
    runs = {seed: [_run(trace, "--policy", "random", "--seed", seed).output for _ in range(2)] for seed in ("1", "2")}
    assert all(first == second for first, second in runs.values())


def test_the_help_names_the_policies() -> None:
    shown = _run("--help").output
    assert "Policies: tailored," in shown
    assert "belady" in shown
