"""What each experiment runs and keeps of it, with systems that answer at once."""

import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flstore_core.client import Fields
from flstore_core.errors import Unavailable
from flstore_core.patterns import Pattern
from loadgen.compare.comparison import Comparison
from loadgen.compare.hourly_cost import HourlyCost
from loadgen.experiments import ablation, cold, faults, growth, paper, policies, saturation
from loadgen.experiments.base import Cell
from loadgen.experiments.history import History
from loadgen.experiments.registry import EXPERIMENTS
from loadgen.replay.hit_rates import HitRates
from loadgen.run.events import Request
from loadgen.run.runner import Pace
from loadgen.systems.deployments import System
from loadgen.traces.generator import TraceSettings
from tests.loadgen.results import result

SMALL = TraceSettings(clients=6, per_round=2, rounds=3, requests=12, hours=0.1)


def cell(trace: TraceSettings = SMALL, **values: Any) -> Cell:
    return Cell("experiment", values, 1, trace)


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Comparison, System, list[Any]]]:
    """Have each system be measured at once; return the comparisons with their events."""
    seen: list[tuple[Comparison, System, list[Any]]] = []

    def run_one(self: Comparison, system: System, watches: Any = ()) -> dict[str, Any]:
        seen.append((self, system, list(self.events())))
        return result()

    monkeypatch.setattr(Comparison, "run_one", run_one)
    return seen


@pytest.mark.parametrize(
    ("without", "slices", "statistics", "policy"),
    [
        ("nothing", 2, None, "tailored"),
        ("slices", 1, None, "tailored"),
        ("statistics", 2, "off", "tailored"),
        ("tailored policy", 2, None, "lru"),
    ],
)
def test_an_ablation_leaves_exactly_one_part_out(
    compared: list[tuple[Comparison, System, list[Any]]],
    without: str,
    slices: int,
    statistics: str | None,
    policy: str,
) -> None:
    measured = ablation.Ablation().measure(cell(without=without))
    [(comparison, system, events)] = compared
    settings = comparison.plan.job_settings
    assert (settings["slices"], settings.get("statistics"), comparison.deployment.policy) == (
        slices,
        statistics,
        policy,
    )
    assert comparison.plan.pace is Pace.SERIAL
    assert system is System.FLSTORE
    assert int(comparison.deployment.cache_size) == SMALL.round_bytes, "two rounds over two shards"
    renamed = {event.workload for event in events if isinstance(event, Request) and event.pattern is Pattern.P2}
    assert (renamed == {"norms"}) is (without == "statistics")
    assert measured["hit_rate"] == 0.75
    assert measured["curve"] == [(1.0, 0.5), (4.0, 1.0)]


def test_the_paper_compares_three_systems_over_one_s3_server(
    compared: list[tuple[Comparison, System, list[Any]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    @contextmanager
    def seaweedfs() -> Iterator[Any]:
        yield SimpleNamespace(env={"FLSTORE_S3_ENDPOINT": "http://weed"})

    monkeypatch.setattr(paper, "seaweedfs", seaweedfs)
    monkeypatch.setattr(paper, "TraceSettings", lambda: SMALL)
    measured = paper.Paper("paper-cloud", "T").measure(cell(network="cloud", model="resnet18"))
    assert [system for _, system, _ in compared] == list(System)
    deployment = compared[0][0].deployment
    assert (deployment.store_network, deployment.cache_network) == ("cloud-s3", "elasticache")
    assert deployment.env["FLSTORE_S3_ENDPOINT"] == "http://weed"
    assert int(deployment.cache_size) == int(2.5 * SMALL.round_bytes / 2)
    assert compared[0][2] == compared[1][2] == compared[2][2], "the same events for each"
    assert measured.keys() == {*System, "hour"}
    assert HourlyCost(**measured["hour"]).objstore > 0


def test_a_cell_whose_run_ended_early_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Comparison, "run_one", lambda *_: result(partial=True, headline="PARTIAL: it broke"))
    with pytest.raises(Unavailable, match="PARTIAL: it broke"):
        ablation.Ablation().measure(cell(without="nothing"))


@contextmanager
def at_once(*_: Any, **__: Any) -> Iterator[str]:
    yield "http://127.0.0.1:1"


def test_saturation_steps_towards_the_highest_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    rates: list[float] = []

    def run_session(session: Any, events: Any) -> dict[str, Any]:
        times = [event.t for event in events]
        rates.append(1 / (times[1] - times[0]))
        assert times[-1] == pytest.approx(saturation.STEP_S, abs=0.1)
        return result()

    monkeypatch.setattr(saturation, "flstore_in", at_once)
    monkeypatch.setattr(History, "woken", lambda self, url: self)
    monkeypatch.setattr(History, "store", lambda self, url: {})
    monkeypatch.setattr(saturation, "asked_again", lambda url, ask, times, workers: {"per_s": 200.0})
    monkeypatch.setattr(saturation, "run_session", run_session)
    measured = saturation.Saturation().measure(cell(shards=2, needs="weights"))
    assert measured["most_per_s"] == 200.0
    assert rates == pytest.approx([200.0 * step for step in saturation.STEPS])
    assert [step["rate"] for step in measured["steps"]] == pytest.approx(rates)


def test_policies_keep_live_and_simulated_rates(monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[Any] = []

    @contextmanager
    def one_shard(url: str | None, budget: int, policy: str) -> Iterator[str]:
        started.append((url, budget, policy))
        yield "http://127.0.0.1:1"

    monkeypatch.setattr(policies, "one_shard", one_shard)
    monkeypatch.setattr(
        policies, "compare", lambda *_: [HitRates("P2", 10, 0.9, 0.8, 0.7), HitRates("all", 10, 0.9, 0.8, 0.7)]
    )
    measured = policies.Policies().measure(cell(policy="lru"))
    assert measured["all"] == {"requests": 10, "live": 0.9, "simulated": 0.8}
    [(url, budget, policy)] = started
    assert (url, policy) == (None, "lru")
    assert budget == pytest.approx(2 * SMALL.round_bytes / 1000, rel=0.01)


def test_growth_measures_uploads_answers_memory_and_dollars(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def asked_again(url: str, ask: Request, times: int) -> dict[str, float]:
        asked.append(ask.workload)
        return {"mean_ms": 7.0, "dollars": 2e-6}

    monkeypatch.setattr(growth, "flstore_in", at_once)
    monkeypatch.setattr(History, "woken", lambda self, url: self)
    monkeypatch.setattr(History, "store", lambda self, url: result())
    monkeypatch.setattr(growth, "asked_again", asked_again)
    monkeypatch.setattr(growth, "descendants_rss", lambda: 123_000_000)
    measured = growth.Growth("clients").measure(cell(clients=8))
    assert measured == {
        "upload_ms": 2.5,
        "commit_ms": 2.5,
        "statistics_ms": 7.0,
        "weights_ms": 7.0,
        "metadata_ms": 7.0,
        "rss_mb": 123.0,
        "request_udollars": pytest.approx(2.0),
        "upload_udollars": pytest.approx(1000.0),
    }
    assert asked == ["cosine-similarity", "norms", "metrics"]
    assert measured.keys() == growth.SHOWN.keys()


class ColdClient:
    """A client whose shard starts at every third request."""

    def __init__(self, url: str) -> None:
        self.requests = -1

    def __enter__(self) -> "ColdClient":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing to close."""

    create_job = put_aggregate = commit = lambda self, *_, **__: None

    def run_anew(self, job: str, workload: str, round: int) -> Any:  # noqa: A002
        self.requests += 1
        return SimpleNamespace(execution=Fields({"shard_fetch_ms": 1.0, "shard_compute_ms": 0.5}))

    def cache(self) -> Fields:
        starts = max(0, self.requests) // 3
        return Fields(
            {"shards": [{"shard": "predictor-0"}, {"shard": "shard-0", "starts": starts, "last_start_s": 0.25}]}
        )


def test_a_cold_request_is_told_by_the_shards_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(cold, "flstore_in", at_once)
    monkeypatch.setattr(cold, "FLStore", ColdClient)
    monkeypatch.setattr(cold, "PARAMETERS", 10)
    fake = SimpleNamespace(sleep=pauses.append, perf_counter=time.perf_counter)
    monkeypatch.setattr("loadgen.experiments.cold.time", fake)
    measured = cold.Cold().measure(cell(idle_s=2.0, interval_s=5.0))
    requests = measured["asked"]
    assert [request["cold"] for request in requests] == [(index + 1) % 3 == 0 for index in range(cold.REQUESTS)]
    assert {request["start"] for request in requests} == {0.0, 250.0}
    assert all(request["rest"] >= 0 for request in requests)
    expected = random.Random(1)
    assert pauses == [expected.expovariate(1 / 5.0) for _ in range(cold.REQUESTS)], "a Poisson process"


async def test_every_shard_is_killed_when_its_lifetime_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[tuple[int, int]] = []
    monkeypatch.setattr("loadgen.experiments.faults.os.kill", lambda pid, number: killed.append((pid, number)))
    slept: list[float] = []

    class Enough(Exception):
        """Ends the test."""

    async def sleep(seconds: float) -> None:
        slept.append(seconds)
        if len(slept) == 30:
            raise Enough

    class Client:
        def __init__(self, url: str) -> None:
            """Connect to nothing."""

        async def __aenter__(self) -> "Client":
            return self

        async def __aexit__(self, *_: object) -> None:
            """Nothing to close."""

        async def cache(self) -> Any:
            return {
                "shards": [{"shard": "shard-0", "pid": 11}, {"shard": "shard-1", "pid": 22 if len(slept) % 2 else None}]
            }

    monkeypatch.setattr("loadgen.experiments.faults.asyncio", SimpleNamespace(sleep=sleep))
    monkeypatch.setattr(faults, "AsyncFLStore", Client)
    pids: list[int] = []

    with pytest.raises(Enough):
        await faults._kill_again("http://x", 1, np.random.default_rng(1), pids)
    assert set(killed) == {(22, 9)}, "only its own shard, by SIGKILL, and only when it is up"
    assert len(pids) == len(killed) == 15
    assert all(faults.UNIT_S <= seconds <= faults.LONGEST for seconds in slept)
    assert slept.count(1.0) > len(slept) / 4, "most lifetimes of a Zipf law are the shortest"


def test_a_steady_load_is_even() -> None:
    events = list(faults._steady(faults.HISTORY))
    assert len(events) == int(faults.RATE * faults.SECONDS)
    assert [event.t for event in events[:3]] == [0.0, 0.5, 1.0]


def test_every_experiment_has_a_title_and_a_name_of_its_own() -> None:
    names = [experiment.name for experiment in EXPERIMENTS]
    assert len(set(names)) == len(names)
    assert all(experiment.title for experiment in EXPERIMENTS)
