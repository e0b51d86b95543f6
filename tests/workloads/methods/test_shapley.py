"""Shapley values by their definition, of textbook games, and by the axioms that make them unique."""

import math
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core.workloads.methods.shapley import Utility, exact, leave_one_out, one_by_one, truncated_monte_carlo
from tests.workloads.methods.arrays import Float64, seeds


def random_game(players: int, seed: int) -> Utility:
    """Return a game with a random worth for each coalition; nobody is worth 0."""
    worths = np.append(0.0, np.random.default_rng(seed).random(2**players - 1))
    return lambda coalitions: np.asarray(worths[coalitions @ (1 << np.arange(players))])


def by_all_orders(utility: Utility, players: int) -> list[float]:
    """Return each player's mean gain over all orders in which players can join."""
    values = np.zeros(players)
    for order in permutations(range(players)):
        members = np.zeros((players + 1, players), bool)
        for place, player in enumerate(order):
            members[place + 1 :, player] = True
        values[list(order)] += np.diff(utility(members))
    return [float(value) / math.factorial(players) for value in values]


def no_progress(done: int, total: int) -> None:
    """Report to nobody."""


@given(st.integers(1, 6), seeds)
@settings(max_examples=20)
def test_exact_values_are_the_mean_gain_over_all_orders(players: int, seed: int) -> None:
    utility = random_game(players, seed)
    assert exact(utility, players).tolist() == pytest.approx(by_all_orders(utility, players))


def majority_game(weights: list[int], quota: int) -> Utility:
    return lambda coalitions: (coalitions @ np.array(weights) >= quota).astype(float)


def airport_game(costs: list[float]) -> Utility:
    return lambda coalitions: np.asarray((coalitions * np.array(costs)).max(axis=1))


@pytest.mark.parametrize(
    ("utility", "values"),
    [
        # One left glove, two right ones: a pair is worth 1.
        (lambda c: (c[:, 0] & c[:, 1:].any(axis=1)).astype(float), [2 / 3, 1 / 6, 1 / 6]),
        # Shapley and Shubik 1954: in a vote of 50, 49 and 1 with 51 to win, the last two are pivotal equally often.
        (majority_game([50, 49, 1], 51), [2 / 3, 1 / 6, 1 / 6]),
        # The UN Security Council in small: two veto powers and two members, one of which has to agree.
        (majority_game([3, 3, 1, 1], 7), [5 / 12, 5 / 12, 1 / 12, 1 / 12]),
        # Littlechild and Owen 1973, the airport game: each pays an equal part of every stretch it needs.
        (airport_game([8.0, 11.0, 13.0]), [8 / 3, 8 / 3 + 3 / 2, 8 / 3 + 3 / 2 + 2]),
    ],
    ids=["gloves", "votes", "vetoes", "airport"],
)
def test_textbook_games(utility: Utility, values: list[float]) -> None:
    assert exact(utility, len(values)).tolist() == pytest.approx(values)


@given(st.integers(1, 7), seeds)
@settings(max_examples=20)
def test_values_share_out_what_everybody_is_worth(players: int, seed: int) -> None:
    utility = random_game(players, seed)
    everybody = float(utility(np.ones((1, players), bool))[0])
    assert exact(utility, players).sum() == pytest.approx(everybody)


@given(st.integers(1, 5), seeds, seeds)
@settings(max_examples=20)
def test_the_value_of_a_sum_of_games_is_the_sum_of_values(players: int, seed: int, other: int) -> None:
    one, two = random_game(players, seed), random_game(players, other)
    both = exact(lambda coalitions: one(coalitions) + 3 * two(coalitions), players)
    np.testing.assert_allclose(both, exact(one, players) + 3 * exact(two, players), atol=1e-12)


def test_a_player_that_adds_nothing_is_worth_nothing_and_equals_are_worth_the_same() -> None:
    values = exact(lambda coalitions: coalitions[:, :3].sum(axis=1).astype(float) ** 2, 4)
    assert values.tolist() == pytest.approx([3.0, 3.0, 3.0, 0.0])


@given(st.integers(1, 6), seeds)
@settings(max_examples=20)
def test_leaving_one_out_is_what_everybody_loses_without_it(players: int, seed: int) -> None:
    utility = random_game(players, seed)
    without = np.ones((players, players), bool)
    np.fill_diagonal(without, False)
    expected = utility(np.ones((1, players), bool)) - utility(without)
    np.testing.assert_allclose(leave_one_out(utility, players), expected)


def test_coalitions_asked_for_one_by_one_are_named_by_their_members() -> None:
    named: list[frozenset[int]] = []

    def worth(coalition: frozenset[int]) -> float:
        named.append(coalition)
        return float(len(coalition))

    assert one_by_one(worth)(np.array([[True, False, True], [False, False, False]])).tolist() == [2.0, 0.0]
    assert named == [frozenset({0, 2}), frozenset()]


def test_the_estimate_lies_within_its_standard_errors_and_its_errors_are_of_the_right_size() -> None:
    utility = random_game(8, 1)
    truth = exact(utility, 8)
    found = truncated_monte_carlo(utility, 8, 2000, 0.0, np.random.default_rng(0), no_progress)
    scores = (found.values - truth) / found.errors
    assert np.abs(scores).max() < 4
    assert 0.3 < np.sqrt((scores**2).mean()) < 2


def test_the_estimate_of_an_additive_game_is_exact() -> None:
    own = np.array([0.5, -0.2, 0.1])
    found = truncated_monte_carlo(lambda c: np.asarray(c @ own), 3, 10, 0.0, np.random.default_rng(0), no_progress)
    np.testing.assert_allclose(found.values, own, atol=1e-12)
    np.testing.assert_allclose(found.errors, 0, atol=1e-12)


def test_gains_after_the_worth_has_come_near_everybodys_do_not_count() -> None:
    """Each player adds 0.25: at a tolerance of 0.5, the last two of every permutation gain nothing."""

    def share(coalitions: NDArray[np.bool_]) -> Float64:
        return np.asarray(coalitions.mean(axis=1))

    rng = np.random.default_rng(0)
    assert truncated_monte_carlo(share, 4, 400, 0.5, rng, no_progress).values.sum() == pytest.approx(0.5)
    assert truncated_monte_carlo(share, 4, 400, 0.49, rng, no_progress).values.sum() == pytest.approx(0.75)


def test_progress_is_reported_after_each_batch_up_to_all_permutations() -> None:
    steps: list[tuple[int, int]] = []
    players = 300
    truncated_monte_carlo(
        lambda c: c.any(axis=1).astype(float),
        players,
        7,
        0.0,
        np.random.default_rng(0),
        lambda done, total: steps.append((done, total)),
    )
    assert steps == [(2, 7), (4, 7), (6, 7), (7, 7)]


def test_the_same_seed_gives_the_same_estimate_whatever_the_batches() -> None:
    utility = random_game(6, 2)
    found = [truncated_monte_carlo(utility, 6, 50, 0.0, np.random.default_rng(3), no_progress) for _ in range(2)]
    np.testing.assert_array_equal(found[0].values, found[1].values)
