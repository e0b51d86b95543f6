"""Drift on planted changes, and its change points against a search of all segmentations."""

import math
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import NotFound
from flstore_core.workloads import RoundData
from flstore_core.workloads.drift import Drift, DriftParams
from flstore_core.workloads.methods.pelt import change_points, noise_deviation
from tests.workloads.rounds import Index, ask, make_round

ASKED = Drift()
ALONG = np.tile([1.0, 0, 0], (6, 1))


def all_segmentations(series: np.ndarray[Any, Any], penalty: float) -> float:
    """The least cost of any partition into segments of two or more."""

    def cost(cuts: tuple[int, ...]) -> float:
        parts = [series[start:end] for start, end in pairwise((0, *cuts, len(series)))]
        if min(map(len, parts)) < 2:
            return math.inf
        return sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts) + penalty * len(cuts)

    return min(cost(cuts) for count in range(len(series)) for cuts in combinations(range(1, len(series)), count))


def cost_of(series: np.ndarray[Any, Any], starts: list[int], penalty: float) -> float:
    parts = np.split(series, starts)
    assert min(map(len, parts)) >= 2
    return sum(float(((part - part.mean(axis=0)) ** 2).sum()) for part in parts) + penalty * len(starts)


@given(st.integers(2, 11), st.integers(1, 2), st.sampled_from([0.5, 2.0, 6.0]), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_no_segmentation_is_better(length: int, measures: int, penalty: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    series = rng.standard_normal((length, measures)) + 3 * rng.integers(0, 2, (length, 1)).cumsum(axis=0)
    found = change_points(series, penalty)
    assert cost_of(series, found, penalty) == pytest.approx(all_segmentations(series, penalty))


def test_a_planted_step_is_found_where_it_is_and_noise_is_not() -> None:
    rng = np.random.default_rng(0)
    flat = rng.standard_normal((300, 2))
    assert change_points(flat, 4 * math.log(300)) == []
    assert change_points(flat + 4 * (np.arange(300) >= 120)[:, None], 4 * math.log(300)) == [120]


def test_noise_is_that_of_the_values_and_not_of_a_step() -> None:
    values = 0.3 * np.random.default_rng(0).standard_normal(4000) + 50 * (np.arange(4000) > 1500)
    assert noise_deviation(values, 0.01) == pytest.approx(0.3, rel=0.05)
    assert (noise_deviation(np.ones(5), 0.01), noise_deviation(np.ones(1), 0.2)) == (0.01, 0.2)


def history(turned: int, scale: float, rounds: int = 12) -> list[RoundData]:
    """Rounds in which `c0` behaves like the others until round `turned`, then as `scale` times what they send."""
    rng = np.random.default_rng(3)
    found = []
    for number in range(rounds):
        rows = np.ones(60) + 0.5 * rng.standard_normal((8, 60))
        rows[0] *= scale if number >= turned else 1.0
        found.append(make_round(rows, number=number))
    return found


@pytest.mark.parametrize("scale", [-1.0, 4.0])
def test_a_client_that_turns_or_grows_changed_in_that_round(scale: float) -> None:
    answer = ask(ASKED, history(7, scale), client="c0")
    (change,) = answer.changes
    assert change.round == 7
    assert (change.alignment_before > 0.5, change.alignment_after > 0.5) == (True, scale > 0)
    assert change.relative_norm_after == pytest.approx(abs(scale) * change.relative_norm_before, rel=0.2)
    assert (answer.alignment, answer.relative_norm) == (change.alignment_after, change.relative_norm_after)


def test_nobody_changed_where_all_go_on_as_before() -> None:
    for client in ("c0", "c5"):
        assert ask(ASKED, history(99, 1.0), client=client).changes == []
    assert ask(ASKED, history(7, -1.0), client="c5").changes == []


def test_a_position_by_hand() -> None:
    rows = np.array([[0.0, 3, 4], [1, 0, 0], [0, 2, 0], [0, 2, 0]])
    (position,) = ask(ASKED, make_round(rows, number=9), client="c0").history
    assert (position.round, position.norm, position.relative_norm) == (9, 5, 2.5)
    assert -1 <= position.alignment <= 1
    (other,) = ask(ASKED, make_round(np.vstack([-ALONG[:1], ALONG[1:]])), client="c0").history
    assert other.alignment == pytest.approx(-1)


def test_zero_deltas_and_rounds_alone_have_a_defined_answer() -> None:
    zero = ask(ASKED, [make_round(np.zeros((4, 9)), number=number) for number in range(3)], client="c0")
    assert zero.changes == []
    assert [(each.alignment, each.relative_norm) for each in zero.history] == [(0, None)] * 3
    alone = ask(ASKED, [make_round(ALONG[:1], number=4)], client="c0")
    assert (alone.skipped, alone.history, alone.relative_norm) == ([4], [], 1.0)
    equal = ask(ASKED, [make_round(ALONG, number=number) for number in range(5)], client="c0")
    assert (equal.changes, equal.alignment) == ([], pytest.approx(1.0))


def test_only_the_last_participations_are_read() -> None:
    index = Index(committed=range(9), clients={"c0": [1, 4, 5, 8]})
    assert ASKED.select(DriftParams("c0", last=2), index) == [5, 8]
    with pytest.raises(NotFound, match="nearest: c0"):
        ASKED.select(DriftParams("c1"), index)
