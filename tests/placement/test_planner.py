"""Every job is placed or refused with a reason, and placing again moves nothing."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InsufficientCapacity, InvalidParameters
from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Assignment, Observed, Plan, Planner, Shard, plan, planner
from flstore_core.placement.planner import count_slices, place, working_set_bytes
from flstore_core.records import Job
from flstore_core.schema import Schema, TensorSpec

MIB = 1 << 20


def job(parameters: int, name: str = "digits", replicas: int = 1, slices: int | None = None) -> Job:
    """10 clients and 2 hot rounds: a working set of 33 updates of 4 bytes a parameter."""
    schema = Schema.of([TensorSpec("weight", "F32", (parameters,))])
    return Job(JobId(name), schema, replicas=replicas, slices=slices)


def shards(count: int, cache_bytes: int = 512 * MIB) -> tuple[Shard, ...]:
    return tuple(Shard(ShardId(f"shard-{index}"), cache_bytes) for index in range(count))


def again(observed: Observed, outcome: Plan) -> Plan:
    return plan(replace(observed, current=outcome.jobs))


@st.composite
def situations(draw: st.DrawFn) -> Observed:
    budgets = draw(st.lists(st.integers(1, 64).map(lambda n: n * MIB), min_size=1, max_size=6))
    facts = st.tuples(st.integers(1, 30 * MIB), st.integers(1, 3), st.none() | st.integers(1, 40))
    wanted = draw(st.lists(facts, max_size=4))
    jobs = tuple(job(size, f"job-{i}", replicas, slices) for i, (size, replicas, slices) in enumerate(wanted))
    return Observed(tuple(Shard(ShardId(f"s{i}"), budget) for i, budget in enumerate(budgets)), jobs)


@given(situations())
def test_every_job_is_either_placed_or_refused_with_a_reason(observed: Observed) -> None:
    outcome = plan(observed)
    assert set(outcome.jobs) | set(outcome.refused) == {job.id for job in observed.jobs}
    assert not set(outcome.jobs) & set(outcome.refused)


@given(situations())
def test_planning_is_deterministic_and_idempotent(observed: Observed) -> None:
    outcome = plan(observed)
    assert plan(observed).jobs == outcome.jobs
    assert again(observed, outcome).jobs == outcome.jobs


@given(situations())
def test_a_slice_lies_only_on_shards_that_can_hold_one_of_an_update(observed: Observed) -> None:
    budget = {shard.id: shard.cache_bytes for shard in observed.shards}
    outcome = plan(observed)
    for wanted in observed.jobs:
        if placed := outcome.jobs.get(wanted.id):
            for index, holders in enumerate(placed.owners):
                size = wanted.schema.slice_nbytes(index, placed.slices)
                assert all(size <= budget[shard] for shard in holders)


@given(situations())
def test_one_more_shard_changes_no_slice_count_of_a_placed_job(observed: Observed) -> None:
    outcome = plan(observed)
    more = replace(observed, shards=(*observed.shards, Shard(ShardId("new"), 64 * MIB)), current=outcome.jobs)
    for name, placed in plan(more).jobs.items():
        if name in outcome.jobs:
            assert placed.slices == outcome.jobs[name].slices


def test_the_working_set_is_the_hot_rounds_and_the_open_one_with_their_aggregates() -> None:
    assert working_set_bytes(job(1000)) == 11 * 3 * 4000


@pytest.mark.parametrize(
    ("parameters", "budget", "count", "expected"),
    [
        (1_000, 512 * MIB, 4, 1),  # a tiny model
        (1_000, 40_000, 4, 1),  # a tiny model over a tiny budget: too small to cut
        (11_690_000, 512 * MIB, 8, 3),  # ResNet18: 33 x 46.76 MB over 512 MiB is 2.87 budgets
        (11_690_000, 512 * MIB, 2, 2),  # no more slices than shards
        (11_690_000, 4096 * MIB, 8, 1),  # one shard has room for all of it
    ],
)
def test_slices_follow_from_working_set_over_budget(parameters: int, budget: int, count: int, expected: int) -> None:
    assert count_slices(job(parameters), shards(count, budget)) == expected


def test_slices_that_a_job_asks_for_win() -> None:
    assert place(job(100_000, slices=7), shards(2)).slices == 7


def test_more_slices_than_parameters_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="slices is 7, but the schema has 6 parameters"):
        place(job(6, slices=7), shards(2))


def test_slices_stay_until_one_of_an_update_fits_no_shard() -> None:
    model = job(8 * MIB)  # 32 MiB an update
    placed = place(model, shards(4, 256 * MIB))
    assert placed.slices == 4
    assert place(model, shards(4, 2048 * MIB), placed).slices == 4
    assert place(model, shards(8, 8 * MIB), placed).slices == 4
    assert place(model, shards(8, 8 * MIB - 1), placed).slices == 8


def test_an_update_too_big_for_any_shard_is_refused_with_the_numbers() -> None:
    with pytest.raises(InsufficientCapacity, match=r"takes 20\.0 MiB.*the largest has 16\.0 MiB") as caught:
        place(job(10 * MIB), shards(2, 16 * MIB))
    assert caught.value.extensions == {
        "slice_bytes": 20 * MIB,
        "update_bytes": 40 * MIB,
        "slices": 2,
        "replicas": 1,
        "shards_able": 0,
        "largest_shard_bytes": 16 * MIB,
    }


def test_more_replicas_than_shards_are_refused() -> None:
    with pytest.raises(InvalidParameters, match="replicas is 3, but there are 2 shards"):
        place(job(1000, replicas=3), shards(2))


def test_replicas_need_as_many_shards_that_are_big_enough() -> None:
    uneven = (*shards(1, 16 * MIB), Shard(ShardId("small"), MIB))
    with pytest.raises(InsufficientCapacity, match="needs 2 shards of that size; 1 of 2 have it"):
        place(job(2 * MIB, replicas=2, slices=1), uneven)


def test_one_refused_job_does_not_stand_in_the_way_of_others() -> None:
    outcome = plan(Observed(shards(2, MIB), (job(1000, "small"), job(10 * MIB, "large"))))
    assert set(outcome.jobs) == {"small"}
    assert isinstance(outcome.refused[JobId("large")], InsufficientCapacity)


@given(st.lists(situations(), min_size=1, max_size=4))
def test_a_planner_that_remembers_plans_as_one_that_does_not(moments: list[Observed]) -> None:
    remembering, current = Planner(), dict[JobId, Assignment]()
    for moment in moments:
        for observed in (replace(moment, current=current), replace(moment, jobs=moment.jobs[1:], current=current)):
            outcome, expected = remembering.plan(observed), plan(observed)
            assert outcome.jobs == expected.jobs
            assert {job: str(why) for job, why in outcome.refused.items()} == {
                job: str(why) for job, why in expected.refused.items()
            }
            current = dict(outcome.jobs)


def test_a_planner_places_only_what_is_new(monkeypatch: pytest.MonkeyPatch) -> None:
    placed: list[str] = []

    def noted(wanted: Job, among: tuple[Shard, ...], current: Assignment | None) -> Assignment:
        placed.append(wanted.id)
        return place(wanted, among, current)

    monkeypatch.setattr(planner, "place", noted)
    remembering, jobs = Planner(), tuple(job(1000, f"job-{i}") for i in range(3))
    first = remembering.plan(Observed(shards(2), jobs[:2]))
    second = remembering.plan(Observed(shards(2), jobs, first.jobs))
    remembering.plan(Observed(shards(2), jobs, {**second.jobs, jobs[0].id: Assignment(((ShardId("gone"),),), 1)}))
    remembering.plan(Observed(shards(3), jobs[:1], second.jobs))
    assert placed == ["job-0", "job-1", "job-2", "job-0", "job-0"]


def test_the_example_in_the_module() -> None:
    resnet = job(11_690_000)
    assert resnet.schema.nbytes == 46_760_000
    assert working_set_bytes(resnet) == 33 * 46_760_000
    assert round(working_set_bytes(resnet) / (512 * MIB), 2) == 2.87
    assert place(resnet, shards(8)).slices == 3


@given(situations())
def test_a_slice_has_its_replicas_on_distinct_shards_that_exist(observed: Observed) -> None:
    names = {shard.id for shard in observed.shards}
    for wanted in observed.jobs:
        if placed := plan(observed).jobs.get(wanted.id):
            assert placed.replicas == wanted.replicas
            assert all(len(set(holders)) == wanted.replicas for holders in placed.owners)
            assert {shard for holders in placed.owners for shard in holders} <= names


@given(situations(), st.data())
def test_losing_a_shard_moves_no_single_copy_that_it_did_not_hold(observed: Observed, data: st.DataObject) -> None:
    single = replace(observed, jobs=tuple(replace(wanted, replicas=1, slices=None) for wanted in observed.jobs))
    before = plan(single)
    lost = data.draw(st.sampled_from(single.shards))
    rest = tuple(shard for shard in single.shards if shard != lost)
    if not rest:
        return
    after = plan(replace(single, shards=rest, current=before.jobs))
    for name, placed in after.jobs.items():
        held = before.jobs[name].owners
        if len(held) == placed.slices:
            assert all(new == old for old, new in zip(held, placed.owners, strict=True) if old != (lost.id,))


def test_a_change_of_the_asked_number_of_slices_places_all_anew() -> None:
    placed = place(job(100_000, slices=4), shards(4))
    changed = place(job(100_000, slices=2), shards(4), placed)
    assert changed.slices == 2
    assert place(job(100_000, slices=2), shards(4)) == changed


def test_planning_needs_shards() -> None:
    with pytest.raises(InvalidParameters, match="replicas is 1, but there are 0 shards; use at most 0, or add shards"):
        place(job(1000), ())


def test_a_planner_forgets_a_job_that_is_gone_and_places_it_again_when_it_is_back() -> None:
    remembering = Planner()
    both = Observed(shards(2), (job(1000, "a"), job(1000, "b")))
    first = remembering.plan(both)
    assert set(remembering.plan(replace(both, jobs=both.jobs[:1], current=first.jobs)).jobs) == {"a"}
    assert remembering.plan(replace(both, current={})).jobs == first.jobs
