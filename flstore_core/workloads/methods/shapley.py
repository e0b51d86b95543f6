"""Shapley values of a coalition game: exact by enumeration, or estimated by truncated random permutations.

Truncated Monte Carlo is Ghorbani and Zou 2019, Data Shapley (ICML).
"""

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64

Utility = Callable[[NDArray[np.bool_]], Float64]
"""Worth of coalitions, shape (coalitions,), given as rows of members, shape (coalitions, n)."""

MOST_EXACT = 12
"""Most players whose values are computed exactly: each further one doubles the coalitions."""

_BATCH = 1 << 18
"""Elements of the coalitions worked out at once."""


class Estimate(NamedTuple):
    """Values of n players and their standard errors, both of shape (n,)."""

    values: Float64
    errors: Float64


def one_by_one(worth: Callable[[frozenset[int]], float]) -> Utility:
    """Return the utility that asks for the worth of each coalition by its members' numbers."""
    return lambda coalitions: np.array([worth(frozenset(np.flatnonzero(members).tolist())) for members in coalitions])


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
    batch = max(1, _BATCH // players**2)
    for start in range(0, permutations, batch):
        orders = np.array([rng.permutation(players) for _ in range(min(batch, permutations - start))])
        rows = gains[start : start + len(orders)]
        np.put_along_axis(rows, orders, _marginal(utility, orders, whole, tolerance), axis=1)
        progress(start + len(orders), permutations)
    return Estimate(gains.mean(axis=0), gains.std(axis=0, ddof=1) / math.sqrt(permutations))


def _marginal(utility: Utility, orders: NDArray[np.int64], whole: float, tolerance: float) -> Float64:
    """Return what each next player of each permutation gains, shape of `orders`."""
    trials, players = orders.shape
    place = np.argsort(orders, axis=1)
    members = place[:, None, :] <= np.arange(players)[None, :, None]
    worth = utility(members.reshape(-1, players)).reshape(trials, players)
    near = np.abs(worth - whole) <= tolerance
    near[:, -1] = True
    first = near.argmax(axis=1)[:, None]
    worth = np.where(np.arange(players) > first, np.take_along_axis(worth, first, axis=1), worth)
    return np.diff(worth, axis=1, prepend=0.0)
