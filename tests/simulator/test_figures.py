"""The figures that the tailored policy promises, on shorter traces than the study's."""

import json
from functools import cache

import pytest

from flstore_core.patterns import Pattern
from flstore_core.simulator import Result, read_trace, simulate
from loadgen.traces.generator import TraceSettings, generate

SETTINGS = TraceSettings(rounds=500, requests=1500, hours=25.0)
FEW_POINTS = 0.03


@cache
def _results(mix: str, rounds: float, policies: tuple[str, ...]) -> dict[str, Result]:
    settings = TraceSettings(rounds=SETTINGS.rounds, requests=SETTINGS.requests, hours=SETTINGS.hours, mix=mix)
    trace = read_trace(json.dumps(event) for event in generate(settings))
    return {result.policy: result for result in simulate(trace, policies, int(rounds * settings.round_bytes))}


def _rate(result: Result, pattern: Pattern | None = None) -> float:
    tally = result.overall if pattern is None else result.patterns[pattern]
    return tally.hits / tally.requests


@pytest.mark.parametrize(
    ("pattern", "least"), [(Pattern.P1, 0.98), (Pattern.P2, 0.97), (Pattern.P3, 0.90), (Pattern.P4, 1.0)]
)
def test_tailored_serves_each_pattern_from_two_rounds_of_budget(pattern: Pattern, least: float) -> None:
    results = _results("paper", 2, ("tailored", "lru+arrival", "belady"))
    assert _rate(results["tailored"], pattern) >= least


def test_tailored_beats_belady_and_has_half_the_misses_of_lru() -> None:
    results = _results("paper", 2, ("tailored", "lru+arrival", "belady"))
    assert _rate(results["tailored"]) >= _rate(results["belady"])
    assert 1 - _rate(results["tailored"]) <= (1 - _rate(results["lru+arrival"])) / 2


@pytest.mark.parametrize("mix", ["random", "adversarial", "shift"])
@pytest.mark.parametrize("rounds", [0.5, 1, 2, 4])
def test_tailored_is_nowhere_far_behind_lru(mix: str, rounds: float) -> None:
    results = _results(mix, rounds, ("tailored", "lru", "lru+arrival"))
    best = max(_rate(results["lru"]), _rate(results["lru+arrival"]))
    assert _rate(results["tailored"]) >= best - FEW_POINTS


def test_each_part_of_the_policy_earns_its_place() -> None:
    variants = ("tailored", "tailored-no-prefetch", "tailored-no-adaptation", "tailored-no-index", "tailored-static")
    results = _results("paper", 2, variants)
    assert all(_rate(results["tailored"]) > _rate(results[name]) for name in variants[1:])
