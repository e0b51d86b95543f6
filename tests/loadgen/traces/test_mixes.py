"""Mixes share a trace out among habits."""

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.traces.generator import TraceSettings, _counts, generate
from loadgen.traces.habits import Dashboard
from loadgen.traces.mixes import MIXES, Part

SMALL = TraceSettings(clients=20, per_round=4, rounds=30, requests=240, hours=1.0)


@pytest.mark.parametrize("mix", MIXES)
def test_the_shares_of_a_mix_add_up_to_one(mix: str) -> None:
    assert sum(part.share for part in MIXES[mix]()) == pytest.approx(1.0)


@pytest.mark.parametrize("mix", MIXES)
def test_every_call_returns_habits_of_its_own(mix: str) -> None:
    first, second = MIXES[mix](), MIXES[mix]()
    assert not {id(part.habit) for part in first} & {id(part.habit) for part in second}


@given(st.lists(st.floats(0.01, 10.0), min_size=1, max_size=8), st.integers(0, 1000))
def test_the_counts_of_the_parts_add_up_and_are_off_by_less_than_one(shares: list[float], requests: int) -> None:
    parts = [Part(Dashboard(), share) for share in shares]
    counts = [count for _, count in _counts(parts, requests)]
    assert sum(counts) == requests
    for part, count in zip(parts, counts, strict=True):
        assert count == pytest.approx(part.share / sum(shares) * requests, abs=1.0)


@pytest.mark.parametrize(("mix", "patterns"), [("p1", {"P1"}), ("p2", {"P2"}), ("p3", {"P3"}), ("p4", {"P4"})])
def test_a_mix_of_one_pattern_has_no_other(mix: str, patterns: set[str]) -> None:
    events = generate(replace(SMALL, mix=mix))
    assert {event["pattern"] for event in events if event["event"] == "request"} == patterns


def test_the_adversarial_mix_is_made_of_four_adversaries_alike() -> None:
    events = generate(replace(SMALL, mix="adversarial"))
    workloads = Counter(event["workload"] for event in events if event["event"] == "request")
    assert workloads == {"false-scan": 60, "old-favourites": 60, "fickle": 60, "old-round": 60}


@given(st.sampled_from(sorted(MIXES)), st.integers(0, 20))
def test_every_requested_key_was_created_before(mix: str, seed: int) -> None:
    created: set[tuple[int, str]] = set()
    for event in generate(replace(SMALL, mix=mix, seed=seed, requests=40)):
        if event["event"] == "update":
            created.add((event["round"], event["client"]))
        elif event["event"] == "commit":
            created |= {(event["round"], "aggregate"), (event["round"], "metadata")}
        else:
            assert {(key["round"], key["client"]) for key in event["keys"]} <= created
