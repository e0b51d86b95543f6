"""Shapley values of a coalition game: exact by enumeration, or estimated by truncated random permutations.

Truncated Monte Carlo is Ghorbani and Zou 2019, Data Shapley (ICML).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.geometry import Float64

Utility = Callable[[NDArray[np.bool_]], Float64]
"""Worth of coalitions, given as rows of members, shape (coalitions, n)."""


class Estimate(NamedTuple):
    """Values of n players and their standard errors, both of shape (n,)."""

    values: Float64
    errors: Float64


def exact(utility: Utility, players: int) -> Float64:
    """Return the Shapley values, shape (players,), from the worth of all 2^players coalitions."""
    codes = np.arange(2**players)
    members = (codes[:, None] >> np.arange(players)[None, :] & 1).astype(bool)
    worth, sizes = utility(members), members.sum(axis=1)
    orders = math.factorial(players)
    chance = np.array([math.factorial(size) * math.factorial(players - size - 1) / orders for size in range(players)])
    values = np.empty(players)
    for player in range(players):
        without = codes[~members[:, player]]
        gained = worth[without | 1 << player] - worth[without]
        values[player] = chance[sizes[without]] @ gained
    return values


def leave_one_out(utility: Utility, players: int) -> Float64:
    """Return what everybody together loses without each player, shape (players,)."""
    everyone = np.ones((1, players), bool)
    return np.asarray(utility(everyone) - utility(~np.eye(players, dtype=bool)))


def truncated_monte_carlo(
    utility: Utility,
    players: int,
    permutations: int,
    tolerance: float,
    rng: np.random.Generator,
    progress: Callable[[int, int], None],
) -> Estimate:
    """Return the mean marginal gains over random permutations, at least two of them.

    Args:
        tolerance: within a permutation, gains count as 0 from where the worth is this near everybody's.
    """
    whole = float(utility(np.ones((1, players), bool))[0])
    gains = np.zeros((permutations, players))
    for trial in range(permutations):
        order = rng.permutation(players)
        worth = utility(np.tril(np.ones((players, players), bool))[:, np.argsort(order)])
        near = np.append(np.flatnonzero(np.abs(worth - whole) <= tolerance), players - 1)
        worth[near[0] :] = worth[near[0]]
        gains[trial, order] = np.diff(worth, prepend=0.0)
        progress(trial + 1, permutations)
    return Estimate(gains.mean(axis=0), gains.std(axis=0, ddof=1) / math.sqrt(permutations))
