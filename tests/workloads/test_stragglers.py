"""Stragglers by hand and on planted slow clients."""

import numpy as np
import pytest

from flstore_core.errors import NotFound
from flstore_core.workloads.stragglers import Stragglers
from tests.workloads.rounds import ask, rounds_of

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
