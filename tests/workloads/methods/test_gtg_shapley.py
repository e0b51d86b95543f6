"""Shapley values of games whose coalitions are valued one at a time."""

from collections.abc import Callable
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.workloads.methods.gtg_shapley import gtg_shapley, tmc_shapley
from flstore_core.workloads.methods.shapley import Estimate, exact, one_by_one, truncated_monte_carlo

Worth = Callable[[frozenset[int]], float]
Method = Callable[[Worth, int, int, float, np.random.Generator], Estimate]

METHODS = pytest.mark.parametrize("method", [gtg_shapley, tmc_shapley], ids=["gtg", "tmc"])


def random_game(seed: int) -> Worth:
    """Return a game that gives each coalition a random worth, always the same one."""
    worths: dict[frozenset[int], float] = {}
    rng = np.random.default_rng(seed)
    return lambda coalition: worths.setdefault(coalition, float(rng.random()))


def by_all_orders(worth: Worth, players: int) -> list[float]:
    """Return the Shapley values by their definition: mean gains over all orders."""
    values = np.zeros(players)
    orders = list(permutations(range(players)))
    for order in orders:
        for place, player in enumerate(order):
            before = frozenset(order[:place])
            values[player] += (worth(before | {player}) - worth(before)) / len(orders)
    return [float(value) for value in values]


@pytest.mark.parametrize("players", [1, 2, 3, 5])
def test_values_of_coalitions_asked_for_one_by_one_are_the_mean_over_all_orders(players: int) -> None:
    worth = random_game(players)
    assert exact(one_by_one(worth), players).tolist() == pytest.approx(by_all_orders(worth, players))


@METHODS
def test_sampled_values_lie_within_their_standard_errors_and_share_the_gain(method: Method) -> None:
    worth = random_game(1)
    estimate = method(worth, 5, 400, 0.0, np.random.default_rng(0))
    assert (np.abs(estimate.values - by_all_orders(worth, 5)) <= 4 * estimate.errors).all()
    assert estimate.values.sum() == pytest.approx(worth(frozenset(range(5))) - worth(frozenset()))


@METHODS
def test_in_an_additive_game_every_player_gets_its_own_worth_with_no_error(method: Method) -> None:
    own = [0.5, -0.2, 0.1, 0.0]
    estimate = method(lambda coalition: sum(own[row] for row in coalition), 4, 64, 0.0, np.random.default_rng(0))
    assert estimate.values.tolist() == pytest.approx(own)
    assert estimate.errors.max() == pytest.approx(0.0, abs=1e-12)


def test_a_game_without_gain_is_worth_nothing_to_anybody_and_costs_two_evaluations() -> None:
    evaluated: list[frozenset[int]] = []

    def worth(coalition: frozenset[int]) -> float:
        evaluated.append(coalition)
        return 0.5

    estimate = gtg_shapley(worth, 6, 64, 0.001, np.random.default_rng(0))
    assert not estimate.values.any()
    assert not estimate.errors.any()
    assert evaluated == [frozenset(), frozenset(range(6))]


def test_players_take_turns_in_being_first() -> None:
    worth = random_game(2)
    singles: list[int] = []

    def noted(coalition: frozenset[int]) -> float:
        if len(coalition) == 1:
            singles.extend(coalition)
        return worth(coalition)

    gtg_shapley(noted, 4, 8, 0.0, np.random.default_rng(0))
    assert singles == [0, 1, 2, 3, 0, 1, 2, 3]


@given(st.integers(0, 2**32), st.integers(2, 6), st.floats(0, 1))
@settings(max_examples=30, deadline=None)
def test_valuing_one_at_a_time_and_in_batches_gives_the_same_estimate(
    seed: int, players: int, tolerance: float
) -> None:
    worth = random_game(seed)
    worth(frozenset())
    lazy = tmc_shapley(lambda c: worth(c) if c else 0.0, players, 10, tolerance, np.random.default_rng(seed))
    batched = truncated_monte_carlo(
        one_by_one(worth), players, 10, tolerance, np.random.default_rng(seed), lambda done, total: None
    )
    assert lazy.values == pytest.approx(batched.values)
    assert lazy.errors == pytest.approx(batched.errors)
