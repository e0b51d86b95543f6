"""As many shards as the jobs' working sets need, within what is allowed."""

from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Observed, Shard, plan, shards_needed
from flstore_core.placement.planner import working_set_bytes
from flstore_core.records import Job
from flstore_core.schema import Schema, TensorSpec

MIB = 1 << 20
MOST = 12
jobs = st.lists(st.tuples(st.integers(1, 8), st.integers(1, 5), st.integers(1, 4)), max_size=5).map(
    lambda rows: [
        Job(JobId(f"j{i}"), Schema.of([TensorSpec("w", "F32", (mib, 1 << 18))]), hot_rounds=hot, replicas=replicas)
        for i, (mib, hot, replicas) in enumerate(rows)
    ]
)


def test_no_jobs_need_no_shards() -> None:
    assert shards_needed([], MIB, MOST) == 0


@given(jobs, st.integers(8 * MIB, 512 * MIB))
def test_there_are_never_too_few_shards_for_the_replicas_nor_more_than_allowed(several: list[Job], budget: int) -> None:
    count = shards_needed(several, budget, MOST)
    assert count <= MOST
    shards = tuple(Shard(ShardId(f"shard-{i}"), budget) for i in range(count))
    planned = plan(Observed(shards, tuple(several)))
    assert not planned.refused
    if count < MOST:
        assert sum(working_set_bytes(job) * job.replicas for job in several) <= count * budget


@given(jobs, st.integers(8 * MIB, 512 * MIB))
def test_one_more_job_never_means_fewer_shards(several: list[Job], budget: int) -> None:
    counts = [shards_needed(several[:end], budget, MOST) for end in range(len(several) + 1)]
    assert counts == sorted(counts)


def test_the_working_sets_of_all_replicas_are_divided_by_the_budget_and_rounded_up() -> None:
    """A model of 4 MiB with 10 clients and 2 hot rounds: 33 models are 132 MiB, twice that for two replicas."""
    schema = Schema.of([TensorSpec("w", "F32", (4, 1 << 18))])
    assert shards_needed([Job(JobId("j"), schema)], 64 * MIB, MOST) == 3
    assert shards_needed([Job(JobId("j"), schema, replicas=2)], 64 * MIB, MOST) == 5
    assert shards_needed([Job(JobId("j"), schema)] * 2, 64 * MIB, MOST) == 5
    assert shards_needed([Job(JobId("j"), schema)], 64 * MIB, 2) == 2
    assert shards_needed([Job(JobId("j"), schema, replicas=4)], 1024 * MIB, MOST) == 4
