"""What one question may take: estimated before it runs, refused with the numbers."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pytest

from flstore_core.errors import TooExpensive
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Member, Round
from flstore_core.schema import Schema
from flstore_core.statistics import MOST_EXACT
from flstore_core.workloads import Cost, RoundData, registry
from flstore_core.workloads.describe import validate
from services.gateway.answers.limits import Limits
from services.gateway.rounds import statistics
from services.gateway.rounds.index import JobIndex
from tests.gateway.world import TENSORS, world


def round_of(clients: int) -> RoundData:
    members = tuple(Member(ClientId(f"c{index:05}"), "sha", 1, 0, {}, 0.0) for index in range(clients))
    return RoundData(Round(0, None, members))


def refuse(workload: str, clients: int, **params: Any) -> TooExpensive:
    question = registry.get(workload)
    with pytest.raises(TooExpensive) as refused:
        Limits().check(question, validate(question, params), [round_of(clients)], 1)
    return refused.value


def allow(workload: str, clients: int, **params: Any) -> None:
    question = registry.get(workload)
    Limits().check(question, validate(question, params), [round_of(clients)], 1)


@pytest.mark.parametrize("workload", ["clustering", "personalize"])
def test_products_of_groups_restarts_and_clients_are_refused_with_the_numbers(workload: str) -> None:
    error = refuse(workload, 100, most=256, restarts=100)
    assert error.extensions["operations"] == 2 * 99 * 100 * 99 * 100**2 * 20
    assert f"{workload!r} with these parameters over these rounds would take about 3.9e+11 operations" in error.detail
    assert "at most 2.0e+11 are allowed here (FLSTORE_QUESTION_OPERATIONS)" in error.detail


@pytest.mark.parametrize("workload", ["contribution", "incentives"])
def test_orders_of_many_clients_are_refused(workload: str) -> None:
    refuse(workload, 250, method="monte-carlo", permutations=100_000)
    allow(workload, 250, method="monte-carlo", permutations=2_000)
    allow(workload, 2_000)


def test_what_people_ask_is_allowed() -> None:
    allow("clustering", 100, restarts=100)
    allow("clustering", 250, most=20)
    allow("clustering", 250, clusters=16, restarts=100)
    allow("clustering", MOST_EXACT, clusters=8)
    allow("clustering", MOST_EXACT, method="agglomerative")
    allow("cosine-similarity", MOST_EXACT)
    allow("clustering", 1)


def test_memory_is_refused_with_the_numbers() -> None:
    limits = Limits(nbytes=2**20)

    @dataclass
    class Large:
        name: str = "large"

        def cost(self, params: Any, rounds: Sequence[RoundData], parameters: int) -> Cost:
            return Cost(nbytes=float(parameters))

    workload: Any = Large()
    limits.check(workload, None, (), 2**20)
    with pytest.raises(TooExpensive, match=r"'large' .* would hold about 2.0 MiB; at most 1.0 MiB are allowed"):
        limits.check(workload, None, (), 2**21)


def test_statistics_of_many_rounds_are_refused_before_they_are_read() -> None:
    """The example of `Limits.check_statistics`."""
    job = Job(JobId("job"), Schema.from_json(TENSORS), created_at=1.0)
    participations = {ClientId(f"c{index}"): tuple(range(1000)) for index in range(300)}
    few = {ClientId(f"d{index}"): (index % 1000,) for index in range(2000)}
    index = JobIndex(job, committed=range(1000), participations=participations)
    with pytest.raises(TooExpensive, match="the statistics of 1000 rounds would hold about") as refused:
        Limits().check_statistics(index, range(1000))
    assert refused.value.extensions["nbytes"] == 720_000_000
    Limits().check_statistics(index, range(700))
    Limits().check_statistics(JobIndex(job, committed=range(1000), participations=few), range(1000))


def test_a_question_that_takes_too_much_runs_nowhere() -> None:
    gateway = world(question_operations=1000)
    gateway.create()
    gateway.fill(0, 3)
    gateway.commit(0)
    with pytest.raises(TooExpensive):
        gateway.run("clustering", round=0, clusters=2, restarts=100)
    assert gateway.run("cosine-similarity", round=0).rounds == (0,)


def test_a_round_of_too_many_models_is_committed_without_statistics(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MOST_EXACT", 2)
    gateway = world()
    gateway.create()
    gateway.fill(0, 3)
    assert len(gateway.commit(0).members) == 3
    assert not [key for key in gateway.store.contents if "statistics" in key]
