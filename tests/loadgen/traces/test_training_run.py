"""A training run: what exists at each moment of it."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.traces.samplers import Uniform
from loadgen.traces.training_run import TRAINING_SHARE, TrainingRun, make_training_run

RUN = TrainingRun(
    seconds_per_round=100.0,
    members=[["a", "b"], ["b", "c"], ["a", "c"], ["a", "b"]],
    arrived=[[10.0, 80.0], [120.0, 130.0], [200.0, 210.0], [301.0, 390.0]],
    participations={"a": [0, 2, 3], "b": [0, 1, 3], "c": [1, 2]},
)


@pytest.mark.parametrize(
    ("t", "newest"),
    [(0.0, 0), (99.9, 0), (100.0, 0), (199.9, 0), (200.0, 1), (399.9, 2), (400.0, 3), (1e9, 3)],
)
def test_a_round_is_the_newest_from_its_commit_until_the_next(t: float, newest: int) -> None:
    assert RUN.newest(t) == newest


def test_a_round_is_committed_at_its_end() -> None:
    assert [RUN.committed_at(number) for number in range(RUN.rounds)] == [100.0, 200.0, 300.0, 400.0]


@pytest.mark.parametrize(
    ("client", "t", "count", "rounds"),
    [
        ("a", 400.0, 2, [2, 3]),
        ("a", 399.0, 2, [0, 2]),
        ("a", 250.0, 5, [0]),
        ("c", 150.0, 5, []),
        ("b", 1e9, 10, [0, 1, 3]),
    ],
)
def test_only_committed_participations_count(client: str, t: float, count: int, rounds: list[int]) -> None:
    assert RUN.last_participations(client, t, count) == rounds


@given(st.integers(1, 12), st.integers(1, 6), st.floats(0.1, 50.0), st.integers(0, 99))
def test_a_run_is_consistent(rounds: int, per_round: int, hours: float, seed: int) -> None:
    rng = random.Random(seed)
    run = make_training_run(Uniform(10, per_round, rng), rounds, hours, rng)
    assert run.rounds == rounds
    assert run.committed_at(rounds - 1) == pytest.approx(hours * 3600)
    for number, (clients, times) in enumerate(zip(run.members, run.arrived, strict=True)):
        assert len(clients) == len(times) == per_round
        begin = number * run.seconds_per_round
        assert all(begin <= t <= begin + TRAINING_SHARE * run.seconds_per_round for t in times)
        assert times == sorted(times)
    counted = {(client, number) for client, numbers in run.participations.items() for number in numbers}
    assert counted == {(client, number) for number, clients in enumerate(run.members) for client in clients}
    assert all(numbers == sorted(set(numbers)) for numbers in run.participations.values())
