"""Shapley values of a coalition game: exact by enumeration, or estimated by truncated random permutations.

A player's Shapley value (Shapley 1953, A Value for n-Person Games) is the worth that it adds to those before it, on
average over all n! orders in which the players can come. In how many of these orders a player joins exactly the
coalition S depends on the size of S alone, so the value is a weighted sum over coalitions::

    value(i) = sum over S without i of  |S|! (n - |S| - 1)! / n!  (worth(S + i) - worth(S))

Example: a pair of gloves is worth 1. Player 0 has a left glove, players 1 and 2 have right ones. Player 0 adds
nothing only if it comes first, in 2 of 6 orders, so its value is 4/6. Player 1 adds 1 only if it comes second and
player 0 first, in 1 of 6 orders::

    >>> def gloves(coalitions):
    ...     return (coalitions[:, 0] & (coalitions[:, 1] | coalitions[:, 2])).astype(float)
    >>> exact(gloves, 3).round(4).tolist()
    [0.6667, 0.1667, 0.1667]

All left out one by one, the game says less: either right glove can replace the other::

    >>> leave_one_out(gloves, 3).tolist()
    [1.0, 0.0, 0.0]

Truncated Monte Carlo (Ghorbani and Zou 2019, Data Shapley, ICML) takes the mean over random orders. Here all
coalitions of a batch of orders are valued in one call; `gtg_shapley` is for games where each is costly.
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
"""Elements of the coalitions that are valued in one call."""


class Estimate(NamedTuple):
    """Values of n players and their standard errors, both of shape (n,)."""

    values: Float64
    errors: Float64


def one_by_one(worth: Callable[[frozenset[int]], float]) -> Utility:
    """Return the utility that asks for the worth of each coalition by its members' numbers."""
    return lambda coalitions: np.array([worth(frozenset(np.flatnonzero(members).tolist())) for members in coalitions])


def exact(utility: Utility, players: int) -> Float64:
    """Return the Shapley values, shape (players,), from the worth of all 2^players coalitions."""
    codes = np.arange(2**players)  # bit i of a coalition's code says whether player i is in it
    members = (codes[:, None] >> np.arange(players)[None, :] & 1).astype(bool)
    worth, sizes = utility(members), members.sum(axis=1)
    orders = math.factorial(players)
    weights = np.array([math.factorial(size) * math.factorial(players - size - 1) / orders for size in range(players)])
    values = np.empty(players)
    for player in range(players):
        without = codes[~members[:, player]]
        gains = worth[without | 1 << player] - worth[without]
        values[player] = weights[sizes[without]] @ gains
    return values


def leave_one_out(utility: Utility, players: int) -> Float64:
    """Return the worth that everybody together loses without each player, shape (players,)."""
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
    """Return the mean marginal gains over random permutations, and their standard errors.

    Args:
        utility: worth of coalitions; that of nobody is taken as 0.
        players: their number.
        permutations: how many are drawn, at least two.
        tolerance: within a permutation, gains count as 0 once the worth is this near everybody's.
        rng: source of the permutations.
        progress: called with the permutations done and their number after each batch.
    """
    whole = float(utility(np.ones((1, players), bool))[0])
    gains = np.zeros((permutations, players))
    batch = max(1, _BATCH // players**2)
    for start in range(0, permutations, batch):
        orders = np.array([rng.permutation(players) for _ in range(min(batch, permutations - start))])
        rows = gains[start : start + len(orders)]
        np.put_along_axis(rows, orders, _marginal_gains(utility, orders, whole, tolerance), axis=1)
        progress(start + len(orders), permutations)
    return Estimate(gains.mean(axis=0), gains.std(axis=0, ddof=1) / math.sqrt(permutations))


def _marginal_gains(utility: Utility, orders: NDArray[np.int64], whole: float, tolerance: float) -> Float64:
    """Return the worth that each next player of each permutation adds, shape of `orders`."""
    trials, players = orders.shape
    place = np.argsort(orders, axis=1)  # of each player in each permutation: the inverse permutation
    members = place[:, None, :] <= np.arange(players)[None, :, None]  # the first 1, 2 … players of each permutation
    worth = utility(members.reshape(-1, players)).reshape(trials, players)
    near = np.abs(worth - whole) <= tolerance
    near[:, -1] = True
    first = near.argmax(axis=1)[:, None]
    # From the first coalition near everybody's worth on, the worth stays what it is there, so that nobody gains.
    worth = np.where(np.arange(players) > first, np.take_along_axis(worth, first, axis=1), worth)
    return np.diff(worth, axis=1, prepend=0.0)
