"""How many backends there are: all, or as many as the jobs need."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import ShardId
from flstore_core.records import Job
from services.placement.fleet import Fleet
from services.placement.runtime import BackendSpec, Kind
from tests.fakes.runtime import FakeRuntime
from tests.kubernetes.world import MIB, job

SHARDS = [BackendSpec(ShardId(f"shard-{index}"), 8 * MIB, "lru", 0.0) for index in range(4)]
PREDICTOR = BackendSpec(ShardId("predictor-0"), 8 * MIB, "lru", 0.0, Kind.PREDICTOR)


def fleet(elastic: bool) -> Fleet:
    return Fleet(FakeRuntime(), [*SHARDS, PREDICTOR], elastic)


def test_a_fixed_fleet_has_all_backends_whatever_the_jobs() -> None:
    assert fleet(False).choose([], False) == (*SHARDS, PREDICTOR)
    assert not fleet(False).needs_to_know_programs


@pytest.mark.parametrize(("count", "shards"), [(0, 0), (1, 1), (2, 2), (5, 4), (50, 4)])
def test_an_elastic_fleet_grows_with_the_jobs_of_six_mebibytes_each_up_to_its_limit(count: int, shards: int) -> None:
    jobs = [job(f"job-{number}") for number in range(count)]
    assert fleet(True).choose(jobs, False) == tuple(SHARDS[:shards])


def test_predictors_are_there_where_a_model_can_be_run() -> None:
    assert fleet(True).choose([], True) == (PREDICTOR,)
    assert fleet(True).needs_to_know_programs
    assert not Fleet(FakeRuntime(), SHARDS, True).needs_to_know_programs


@given(st.lists(st.builds(job, st.just("j"), replicas=st.integers(1, 4), hot_rounds=st.integers(1, 9)), max_size=6))
def test_another_job_never_needs_fewer_shards(jobs: list[Job]) -> None:
    counts = [len(fleet(True).choose(jobs[:count], False)) for count in range(len(jobs) + 1)]
    assert counts == sorted(counts)


async def test_ensuring_gives_shards_with_their_budgets_and_predictors_by_address() -> None:
    shards, predictors = await fleet(False).ensure((SHARDS[1], PREDICTOR))
    assert [(shard.id, shard.cache_bytes, shard.url) for shard in shards] == [
        ("shard-1", 8 * MIB, "http://host/shard-1")
    ]
    assert predictors == {"predictor-0": "http://host/predictor-0"}


async def test_backends_that_are_not_needed_any_more_are_removed() -> None:
    here = fleet(True)
    await here.ensure((*SHARDS, PREDICTOR))
    await here.retire_others(SHARDS[:2])
    assert [state.id for state in await here.runtime.observe()] == ["shard-0", "shard-1"]
