"""The price of an hour of the paper's trace, by hand."""

import random
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cost import cache_hour_bill, idle_hour_bill, node_bill, objstore_hour_bill
from flstore_core.cost.serverless import shard_gb
from flstore_core.patterns import Pattern
from loadgen.compare.hourly_cost import (
    GB_PER_GIB,
    REQUESTS,
    ROUNDS,
    SHARD_CPUS,
    HourlyCost,
    awake_share,
    paper_hour_cost,
)
from loadgen.run.events import Commit, Event, Request, Update
from loadgen.systems.deployments import System
from tests.loadgen.results import result

GIB = 2**30


def results(**flstore: Any) -> Mapping[System, Mapping[str, Any]]:
    """Return results in which a request costs 0.5 cents of a dollar at FLStore, and 2 cents elsewhere."""
    ours = result(dollars=0.02, answered=4, **flstore)
    theirs = result(dollars=0.08, answered=4)
    return {System.FLSTORE: ours, System.OBJSTORE: theirs, System.CACHE: theirs}


def test_functions_are_paid_by_request_upload_and_commit() -> None:
    # Four uploads cost 0.004, four commits 0.002: 0.001 an upload, 0.0005 a commit.
    hour = paper_hour_cost(results(), uploads=11, shards=2, cache_bytes=GIB, awake=1.0)
    assert hour.functions == pytest.approx(60 * 0.005 + 20 * (11 * 0.001 + 0.0005))


def test_nodes_are_paid_for_the_pods_that_live() -> None:
    idle = idle_hour_bill().total
    pod = node_bill(3600.0, SHARD_CPUS, shard_gb(GIB) / GB_PER_GIB).total
    always, half, never = (
        paper_hour_cost(results(), uploads=11, shards=3, cache_bytes=GIB, awake=awake) for awake in (1.0, 0.5, 0.0)
    )
    assert always.nodes == pytest.approx(idle + 3 * pod)
    assert half.nodes == pytest.approx(idle + 1.5 * pod)
    assert never.nodes == never.idle_nodes == always.idle_nodes == idle


def test_baselines_are_paid_for_their_machines_hour() -> None:
    hour = paper_hour_cost(results(), uploads=11, shards=2, cache_bytes=GIB, awake=1.0)
    assert hour.objstore == objstore_hour_bill().total
    assert hour.cache == cache_hour_bill(2 * GIB).total > hour.objstore
    assert hour.objstore_busy == hour.cache_busy == pytest.approx(REQUESTS * 0.02)


def test_a_system_that_counted_nothing_costs_nothing_and_divides_by_nothing() -> None:
    empty = {"count": 0}
    ours = results(costs={}, uploads=empty, commits=empty)
    silent = {system: {**each, "answered": 0, "dollars": 0.0} for system, each in ours.items()}
    hour = paper_hour_cost(silent, uploads=11, shards=1, cache_bytes=GIB, awake=0.0)
    assert (hour.functions, hour.objstore_busy, hour.cache_busy) == (0.0, 0.0, 0.0)


def test_savings_are_shares_of_each_baselines_cost() -> None:
    hour = HourlyCost(0.1, 0.2, 0.05, objstore=0.5, cache=1.0, objstore_busy=0.0, cache_busy=0.0)
    assert hour.savings(0.1) == {System.OBJSTORE: pytest.approx(0.8), System.CACHE: pytest.approx(0.9)}
    assert HourlyCost(**hour.to_json()) == hour


def ask(t: float) -> Request:
    return Request(t, "j", "audit", Pattern.P2, ((0, "a"),))


def test_the_docstrings_example() -> None:
    events: list[Event] = [Update(0.0, "j", 0, "a", 4), Commit(30.0, "j", 0, 4), ask(200.0)]
    assert awake_share(events, 60.0) == pytest.approx(0.45)


def test_requests_wake_nothing_and_an_endless_window_is_the_whole_time() -> None:
    assert awake_share([ask(0.0), ask(100.0)], 60.0) == 0.0
    assert awake_share([Update(0.0, "j", 0, "a", 4), ask(100.0)], 1e9) == 1.0


@given(st.lists(st.floats(0.0, 1000.0), min_size=1, max_size=20), st.floats(0.0, 100.0), st.integers(0, 99))
def test_the_share_is_that_of_the_union_of_the_windows(times: list[float], idle_s: float, seed: int) -> None:
    events: list[Event] = [*(Update(t, "j", 0, "a", 4) for t in sorted(times)), ask(2000.0)]
    rng = random.Random(seed)
    probes = [rng.uniform(0.0, 2000.0) for _ in range(4000)]
    covered = sum(any(t <= probe < t + idle_s for t in times) for probe in probes) / len(probes)
    assert awake_share(events, idle_s) == pytest.approx(covered, abs=0.035)


def test_the_hour_is_a_fiftieth_of_the_papers_fifty() -> None:
    assert (REQUESTS, ROUNDS) == (3000 // 50, 1000 // 50)
