"""Habits: which keys each kind of user requests, and when."""

import random
from collections import Counter
from collections.abc import Iterable
from itertools import groupby, pairwise

import pytest

from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from loadgen.traces import habits
from loadgen.traces.habits import Habit, Request
from loadgen.traces.mixes import MIXES
from loadgen.traces.samplers import Uniform
from loadgen.traces.training_run import TrainingRun, make_training_run

ROUNDS = 400
LENGTH = 180.0


@pytest.fixture(scope="module")
def run() -> TrainingRun:
    rng = random.Random(11)
    return make_training_run(Uniform(25, 5, rng), ROUNDS, ROUNDS * LENGTH / 3600, rng)


def requests(habit: Habit, run: TrainingRun, count: int = 300, seed: int = 1) -> list[tuple[float, Request]]:
    """Return what a habit requests at `count` even times, with the times."""
    rng = random.Random(seed)
    arrivals = [LENGTH + (ROUNDS - 1) * LENGTH * index / count for index in range(count)]
    times = habit.request_times(arrivals, run, rng)
    return [(t, habit.request(t, run, rng)) for t in times]


EVERY_HABIT = sorted({type(part.habit) for mix in MIXES.values() for part in mix()}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", EVERY_HABIT)
def test_a_habit_requests_only_what_is_committed_and_as_often_as_users_come(
    kind: type[Habit], run: TrainingRun
) -> None:
    made = requests(kind(), run)
    assert len(made) == 300
    for t, request in made:
        assert request.keys
        assert all(0 <= number <= run.newest(t) for number, _ in request.keys)
        assert len(set(request.keys)) == len(request.keys)


@pytest.mark.parametrize("kind", EVERY_HABIT)
def test_the_keys_of_a_request_fit_its_pattern(kind: type[Habit], run: TrainingRun) -> None:
    for t, request in requests(kind(), run):
        rounds, members = {number for number, _ in request.keys}, {member for _, member in request.keys}
        match request.pattern:
            case Pattern.P1:
                assert members == {AGGREGATE}
                assert len(rounds) <= 2
            case Pattern.P2:
                assert len(rounds) == 1
                assert members == set(run.members[rounds.pop()])
            case Pattern.P3:
                assert len(members) == 1
                assert sorted(rounds) == run.last_participations(members.pop(), t, 5)
            case Pattern.P4:
                assert members == {METADATA}


def test_requests_on_arrival_keep_their_times(run: TrainingRun) -> None:
    arrivals = [5.0, 1000.0, 1000.5]
    assert habits.Serving().request_times(arrivals, run, random.Random(0)) == arrivals


def test_a_pipeline_requests_soon_after_the_next_commit(run: TrainingRun) -> None:
    """The docstring's example: arrivals at 100 s and 130 s wait for the commit at 180 s."""
    habit = habits.NewestRound()
    times = habit.request_times([100.0, 130.0, 181.0, 1e9], run, random.Random(0))
    commits = [180.0, 180.0, 360.0, ROUNDS * LENGTH]
    assert all(commit < t < commit + 100 for t, commit in zip(times, commits, strict=True))
    many = habit.request_times([100.0] * 4000, run, random.Random(1))
    assert sum(t - 180.0 for t in many) / 4000 == pytest.approx(habit.delay, rel=0.05)


def test_serving_stays_with_a_released_model_for_fifty_rounds(run: TrainingRun) -> None:
    made = requests(habits.Serving(release_rounds=50), run, count=ROUNDS)
    released = [request.keys[0][0] for _, request in made]
    assert released == sorted(released)
    changes = [
        (t, after) for (t, _), before, after in zip(made[1:], released, released[1:], strict=False) if before != after
    ]
    assert all(new == run.newest(t) for t, new in changes), "a release is the newest aggregate"
    assert all(new - old == 50 for old, new in pairwise([0, *(number for _, number in changes)]))


def test_evaluation_compares_with_the_round_before_one_time_in_ten(run: TrainingRun) -> None:
    made = requests(habits.Evaluation(), run, count=4000)
    newest = [[number for number, _ in request.keys][-1] == run.newest(t) for t, request in made]
    assert all(newest)
    assert sum(len(request.keys) == 2 for _, request in made) / 4000 == pytest.approx(0.1, abs=0.02)


def test_an_auditor_walks_back_round_by_round(run: TrainingRun) -> None:
    habit = habits.Audit()
    rng = random.Random(3)
    times = habit.request_times([1000.0 + 5000.0 * index for index in range(60)], run, rng)
    lengths = list(habit.sittings)
    at = [habit.request(t, run, rng).keys[0][0] for t in times]
    assert all(habit.shortest <= length <= habit.longest for length in lengths)
    first = lengths[0]
    for before, after in pairwise(at[:first]):
        assert after == before - 1 or before == 0, "each round read is the one before, until the first"


def test_a_sitting_begins_at_the_newest_round_four_times_in_five(run: TrainingRun) -> None:
    starts = 0
    for seed in range(400):
        habit, rng = habits.Audit(), random.Random(seed)
        [t] = habit.request_times([60_000.0], run, rng)
        starts += habit.request(t, run, rng).keys[0][0] == run.newest(t)
    assert starts / 400 == pytest.approx(0.8, abs=0.06)


def test_attention_stays_with_one_client_for_fifteen_to_twenty_five_requests(run: TrainingRun) -> None:
    clients = [request.keys[0][1] for _, request in requests(habits.TrackedClient(), run, count=600)]
    lengths = _run_lengths(clients)
    assert all(length >= 15 for length in lengths[:-1])
    assert sum(15 <= length <= 25 for length in lengths[:-1]) >= len(lengths) - 3, (
        "two runs in a row may share a client"
    )


def test_a_dashboard_reads_ten_rounds_a_scheduler_five_and_a_search_a_hundred(run: TrainingRun) -> None:
    made = [request for t, request in requests(habits.Dashboard(), run, count=4000) if run.newest(t) >= 100]
    sizes = Counter((request.workload, len(request.keys)) for request in made)
    assert sizes.keys() == {("dashboard", 10), ("scheduling", 5), ("hyperparameters", 100)}
    assert sizes["dashboard", 10] / len(made) == pytest.approx(0.6, abs=0.03)
    assert sizes["hyperparameters", 100] / len(made) == pytest.approx(0.05, abs=0.015)


def test_anything_uses_every_pattern_alike_over_the_whole_history(run: TrainingRun) -> None:
    made = requests(habits.Anything(), run, count=4000)
    patterns = Counter(request.pattern for _, request in made)
    assert all(count == pytest.approx(1000, abs=110) for count in patterns.values())
    ages = [run.newest(t) - request.keys[0][0] for t, request in made if request.pattern is Pattern.P1]
    assert max(ages) > ROUNDS / 2


def test_a_false_scan_takes_two_steps_back_and_jumps(run: TrainingRun) -> None:
    at = [request.keys[0][0] for _, request in requests(habits.FalseScan(), run, count=300)]
    steps = [after - before for before, after in pairwise(at)]
    scans = [len(list(group)) for back, group in groupby(steps, lambda step: step == -1) if back]
    assert max(scans) <= 5, "two steps, and by chance as many again after a jump by one"
    assert sum(step == -1 for step in steps) / len(steps) == pytest.approx(2 / 3, abs=0.05)


def test_old_favourites_are_a_dozen_old_aggregates_that_change_every_two_hundred_rounds(run: TrainingRun) -> None:
    made = [(t, request) for t, request in requests(habits.OldFavourites(), run, count=2000) if run.newest(t) >= 250]
    favourites = {request.keys[0][0] for _, request in made}
    assert favourites == set(range(100, 112))


def test_a_fickle_client_is_requested_twice_and_not_again(run: TrainingRun) -> None:
    clients = [request.keys[0][1] for _, request in requests(habits.FickleClient(), run, count=200)]
    assert all(first == second for first, second in zip(clients[::2], clients[1::2], strict=True))


def test_an_old_round_is_requested_twice(run: TrainingRun) -> None:
    at = [request.keys[0][0] for _, request in requests(habits.OldRoundTwice(), run, count=200)]
    assert all(first == second for first, second in zip(at[::2], at[1::2], strict=True))
    assert len(set(at)) > 60


def _run_lengths(values: Iterable[object]) -> list[int]:
    """Return the lengths of the runs of equal values."""
    return [len(list(group)) for _, group in groupby(values)]
