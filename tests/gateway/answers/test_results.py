"""Kept answers: those that took long, the most recently used, within a budget."""

import json
from contextlib import suppress
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from flstore_core import layout
from flstore_core.ids import JobId, ShardId
from flstore_core.patterns import Pattern
from flstore_core.shard.protocol import Work
from services.gateway.answers.execution import Execution, Outcome, Stages
from services.gateway.answers.results import WORTH_KEEPING_S, Results
from tests.fakes.clock import Clock

HOME = layout.home(JobId("job"), "g1")


def outcome(etag: str | None, result: Any = "x", seconds: float = 1.0) -> Outcome:
    return Outcome(JobId("job"), "metrics", Pattern.P4, (0,), result, Execution(seconds={"combine": seconds}), etag)


def test_an_answer_that_took_long_is_kept() -> None:
    results = Results()
    kept = outcome("a", seconds=WORTH_KEEPING_S)
    results.offer(kept, HOME)
    results.offer(outcome("b", seconds=WORTH_KEEPING_S / 2), HOME)
    results.offer(outcome(None), HOME)
    assert results.get("a") is kept
    assert results.get("b") is None


def test_what_was_answered_about_a_job_is_dropped_and_its_room_is_free() -> None:
    results = Results(budget=2 * 12)
    other = outcome("other", "x" * 10)
    results.offer(outcome("a", "x" * 10), HOME)
    results.offer(other, layout.home(JobId("job"), "g2"))
    results.forget(HOME)
    assert (results.get("a"), results.get("other")) == (None, other)
    results.offer(outcome("b", "x" * 10), HOME)
    assert results.get("other") is other, "nothing had to make room"


def test_the_least_recently_used_make_room() -> None:
    results = Results(budget=3 * 12)
    for name in "abc":
        results.offer(outcome(name, "x" * 10), HOME)  # 12 bytes of JSON
    results.get("a")
    results.offer(outcome("d", "x" * 10), HOME)
    assert [bool(results.get(name)) for name in "abcd"] == [True, False, True, True]
    results.offer(outcome("e", "x" * 35), HOME)
    assert results.get("e") is None, "it is larger than the budget"
    assert results.get("a")
    results.offer(outcome("f", "x" * 34), HOME)
    assert [bool(results.get(name)) for name in "abcdf"] == [False, False, False, False, True], "it fills the budget"


def test_an_answer_offered_again_replaces_the_earlier_one() -> None:
    results = Results(budget=24)
    for result in ("x" * 10, "y" * 10):
        for _ in range(5):
            results.offer(outcome("a", result), HOME)
    results.offer(outcome("b", "z" * 10), HOME)
    assert (kept := results.get("a"))
    assert kept.result == "y" * 10
    assert results.get("b")


@given(st.lists(st.tuples(st.sampled_from("abcdef"), st.integers(0, 30), st.booleans())), st.integers(10, 60))
def test_the_budget_is_never_exceeded(steps: list[tuple[str, int, bool]], budget: int) -> None:
    results, latest = Results(budget), dict[str, int]()
    for name, length, offers in steps:
        if offers:
            results.offer(outcome(name, "x" * length), HOME)
            if length + 2 <= budget:
                latest[name] = length
        else:
            results.get(name)
        kept = [answer for each in "abcdef" if (answer := results.get(each))]
        assert sum(len(json.dumps(answer.result)) for answer in kept) <= budget
        assert all(len(answer.result) == latest[str(answer.etag)] for answer in kept)


def test_stages_are_timed_in_their_order_and_added_up() -> None:
    clock = Clock()
    stages = Stages(clock)
    for name, seconds in (("select", 1.0), ("map", 2.0), ("select", 0.5)):
        with stages(name):
            clock.sleep(seconds)
    with suppress(KeyError), stages("combine"):
        clock.sleep(0.25)
        raise KeyError
    assert list(stages.seconds.items()) == [("select", 1.5), ("map", 2.0), ("combine", 0.25)]


def test_an_execution_in_json() -> None:
    work = Work(hits=4, misses=2, bytes_touched=60, bytes_fetched=20, fetch_s=0.0015, compute_s=0.25)
    execution = Execution((ShardId("predictor-0"),), 1, work, {"model": 0.5, "combine": 0.001}, "predictors")
    assert execution.to_json() == {
        "where": "predictors",
        "cached": False,
        "shards": ["predictor-0"],
        "slices": 1,
        "hits": 4,
        "misses": 2,
        "bytes_touched": 60,
        "bytes_fetched": 20,
        "shard_fetch_ms": 1.5,
        "shard_compute_ms": 250.0,
        "stages_ms": {"model": 500.0, "combine": 1.0},
        "total_ms": 501.0,
        "cost": {},
    }
    assert Execution().where == "gateway"
