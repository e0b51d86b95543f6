"""Shapley values of a game whose coalitions are costly to value, from permutations that end early.

TMC-Shapley (Ghorbani and Zou 2019, Data Shapley, ICML) walks random orders of the players, adds one player after the
other, and credits each with the worth it added. It leaves an order once the coalition is worth as much as everybody
together, within a tolerance. GTG-Shapley (Liu et al. 2022, GTG-Shapley: Efficient and Accurate Participant
Contribution Evaluation in Federated Learning, ACM TIST) adds two things: a game in which everybody together is worth
no more than nobody is over at once, and the players take turns in being first, since the first credit is mostly the
greatest.

Example: player 0 alone reaches the whole worth of 1, players 1 and 2 add nothing. In the order (0, 1, 2) the worth is
1 after player 0, so neither {0, 1} nor the rest is ever valued. In the order (1, 2, 0), {1}, {1, 2} and everybody
are::

    >>> from collections import Counter
    >>> valued = Counter()
    >>> def worth(coalition):
    ...     valued[tuple(sorted(coalition))] += 1
    ...     return float(0 in coalition)
    >>> gtg_shapley(worth, 3, 2, 0.01, np.random.default_rng(0)).values.tolist()
    [1.0, 0.0, 0.0]
    >>> (0, 1) in valued
    False

`shapley.truncated_monte_carlo` estimates the same values where whole batches of coalitions are cheap to value.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.methods.shapley import Estimate

Worth = Callable[[frozenset[int]], float]
"""Worth of one coalition, given by its players' numbers."""


def gtg_shapley(worth: Worth, players: int, permutations: int, tolerance: float, rng: np.random.Generator) -> Estimate:
    """Return GTG-Shapley's values; arguments as of `tmc_shapley`."""
    nobody, everybody = worth(frozenset()), worth(frozenset(range(players)))
    if abs(everybody - nobody) <= tolerance:
        return Estimate(np.zeros(players), np.zeros(players))
    orders = (_starting_with(turn % players, rng.permutation(players)) for turn in range(permutations))
    return _mean([_gains(worth, order, nobody, everybody, tolerance) for order in orders])


def tmc_shapley(worth: Worth, players: int, permutations: int, tolerance: float, rng: np.random.Generator) -> Estimate:
    """Return TMC-Shapley's values.

    Args:
        worth: of one coalition; called again for the same coalitions, so it should cache.
        players: their number.
        permutations: orders to walk, at least two.
        tolerance: an order ends where the coalition's worth is this near everybody's; the rest gain 0.
        rng: source of the orders.
    """
    nobody, everybody = worth(frozenset()), worth(frozenset(range(players)))
    orders = (rng.permutation(players) for _ in range(permutations))
    return _mean([_gains(worth, order, nobody, everybody, tolerance) for order in orders])


def _starting_with(first: int, order: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the order with player `first` moved to the front."""
    return np.concatenate([[first], order[order != first]])


def _gains(worth: Worth, order: NDArray[np.int64], nobody: float, everybody: float, tolerance: float) -> Float64:
    """Return the worth that each player adds in one order, shape (players,)."""
    gains = np.zeros(len(order))
    before, coalition = nobody, frozenset[int]()
    for player in order.tolist():
        # The first player is always valued, since its gain counts even where nobody is worth as much as everybody.
        if coalition and abs(everybody - before) <= tolerance:
            break
        coalition |= {player}
        after = worth(coalition)
        gains[player], before = after - before, after
    return gains


def _mean(gains: list[Float64]) -> Estimate:
    """Return the mean over orders and its standard error."""
    rows = np.array(gains)
    return Estimate(rows.mean(axis=0), rows.std(axis=0, ddof=1) / math.sqrt(len(rows)))
