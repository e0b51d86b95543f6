"""Stragglers by hand and on planted slow clients."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.workloads.stragglers import Stragglers, StragglersParams
from tests.workloads.rounds import Index, ask, rounds_of

ASKED = Stragglers()


def test_planted_slow_clients_are_found_and_no_others() -> None:
    rng = np.random.default_rng(0)
    slowness = {f"c{i}": 5.0 if i in (3, 8) else 1.0 for i in range(12)}
    history = rounds_of(*({c: {"duration_s": s * rng.uniform(9, 11)} for c, s in slowness.items()} for _ in range(6)))
    answer = ask(ASKED, history)
    assert set(answer.slow) == {"c3", "c8"}
    assert answer.clients[0].client in answer.slow


def test_a_deadline_by_hand() -> None:
    history = rounds_of(
        {"a": {"duration_s": 1.0}, "b": {"duration_s": 2.0}}, {"a": {"duration_s": 1.0}, "b": {"duration_s": 10.0}}
    )
    advice = ask(ASKED, history, keep=0.75).advice
    assert (advice.deadline, advice.lost) == (2, 0.25)
    assert advice.saved == pytest.approx(1 - (2 + 2) / (2 + 10))
    client = ask(ASKED, history, keep=0.75).clients[0]
    assert (client.client, client.median, client.worst, client.late) == ("b", 6, 10, 0.5)


def test_equal_durations_make_nobody_slow() -> None:
    answer = ask(ASKED, rounds_of({c: {"duration_s": 3} for c in "abcd"}))
    assert answer.slow == []
    assert (answer.advice.lost, answer.advice.saved) == (0, 0)
    assert ask(ASKED, rounds_of({"a": {"duration_s": 0}})).advice.saved == 0


def test_another_metric_can_tell_the_time_and_a_missing_one_is_named() -> None:
    history = rounds_of({"a": {"train_seconds": 3}})
    assert ask(ASKED, history, metric="train_seconds").clients[0].median == 3
    with pytest.raises(NotFound, match="nearest: train_seconds"):
        ask(ASKED, history, metric="train_second")


def reported(durations: dict[str, list[Any]]) -> Any:
    """Return rounds in which each client reports its next duration; None reports nothing."""
    count = max(map(len, durations.values()))
    return rounds_of(
        *(
            {name: {"duration_s": values[number]} for name, values in durations.items() if number < len(values)}
            for number in range(count)
        )
    )


@pytest.mark.parametrize(("fence", "slow"), [(1.5, ["e"]), (13.5, []), (13.4, ["e"])])
def test_the_documented_example(fence: float, slow: list[str]) -> None:
    medians = {"a": 10.0, "b": 11.0, "c": 12.0, "d": 13.0, "e": 40.0}
    answer = ask(ASKED, reported({name: [median] for name, median in medians.items()}), fence=fence)
    assert answer.slow == slow
    assert [client.client for client in answer.clients] == ["e", "d", "c", "b", "a"]
    assert [client.slow for client in answer.clients] == [client.client in slow for client in answer.clients]


@given(
    st.dictionaries(st.sampled_from("abcdef"), st.lists(st.floats(0, 100), min_size=1, max_size=6), min_size=1),
    st.floats(0.01, 1),
)
def test_the_deadline_is_the_least_that_lets_the_wanted_share_through(
    durations: dict[str, list[float]], keep: float
) -> None:
    answer = ask(ASKED, reported(durations), keep=keep)
    everything = sorted(value for values in durations.values() for value in values)
    needed = keep * len(everything) - 1e-9
    deadline = next(limit for limit in everything if sum(value <= limit for value in everything) >= needed)
    assert answer.advice.deadline == deadline
    assert answer.advice.lost == pytest.approx(sum(value > deadline for value in everything) / len(everything))
    assert 0 <= answer.advice.saved <= 1
    for client in answer.clients:
        mine = durations[client.client]
        assert (client.participations, client.worst) == (len(mine), max(mine))
        assert client.median == pytest.approx(np.median(mine))
        assert client.late == pytest.approx(np.mean(np.array(mine) > deadline))


def test_rounds_without_a_report_cost_nothing() -> None:
    answer = ask(ASKED, reported({"a": [4.0, None, 2.0], "b": ["fast", True, 2.0]}), keep=0.5)
    assert [(client.client, client.participations) for client in answer.clients] == [("a", 2), ("b", 1)]
    assert (answer.advice.deadline, answer.advice.saved) == (2.0, pytest.approx(1 - 4 / 6))
    assert answer.rounds == [0, 1, 2]


def test_a_negative_duration_counts_as_not_reported() -> None:
    answer = ask(ASKED, reported({"a": [1.0, -5.0], "b": [2.0, 4.0], "c": [-5.0, -5.0]}), keep=0.5)
    assert [(client.client, client.participations) for client in answer.clients] == [("b", 2), ("a", 1)]
    assert (answer.advice.deadline, answer.advice.saved) == (2, 1 - (2 + 2) / (2 + 4))


def test_durations_too_large_to_compute_with_are_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"'duration_s' reaches 1e\+200 in size"):
        ask(ASKED, reported({"a": [1e200]}))


def test_only_a_range_of_rounds_is_read() -> None:
    assert ASKED.select(StragglersParams(last=1), Index(committed=[0, 1, 2])) == [0, 1]
