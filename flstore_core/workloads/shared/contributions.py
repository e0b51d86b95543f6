"""What each client contributed to the direction of its round, by one of four methods, from the Gram matrix of deltas.

A client's contribution is its Shapley value (Shapley 1953) in the game of `methods.cosine_gradient_shapley`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import Cost, Progress, RoundData, RoundParams, fedavg_weights, no_progress
from flstore_core.workloads.methods.cosine_gradient_shapley import agreement, projections
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.methods.shapley import MOST_EXACT, Estimate, exact, leave_one_out, truncated_monte_carlo


@dataclass(frozen=True)
class ContributionParams(RoundParams):
    """How contributions are measured."""

    method: Literal["alignment", "leave-one-out", "shapley", "monte-carlo"] = "alignment"
    """`alignment`: weight × projection on the round's direction, the closed form of the Shapley value when worth is
    that projection. `leave-one-out`: the worth lost without the client, which flatters a client that drags the round
    its own way. `shapley`: exact Shapley values, for up to 12 clients. `monte-carlo`: Shapley values from random
    permutations, with standard errors."""
    permutations: Annotated[int, Ge(2), Le(100_000)] = 200
    """Random permutations of `monte-carlo`."""
    tolerance: Annotated[float, Ge(0), Le(1)] = 0.0
    """`monte-carlo` ends a permutation when its worth is this near everybody's."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the permutations."""


@dataclass(frozen=True)
class Contributed:
    """One client's contribution."""

    client: str
    value: float
    standard_error: float
    """Of an estimated value; 0 for an exact one."""


def estimate_contributions(params: ContributionParams, rounds: Sequence[RoundData]) -> Cost:
    """Return what it takes to measure contributions to a round of n clients.

    A random order has n coalitions, and the worth of each is a product with the Gram matrix. Example: 100,000 orders of
    100 clients take 2 × 100,000 × 100³ = 2e11 operations.
    """
    players = len(rounds[-1].members(params.clients))
    if params.method == "monte-carlo":
        return Cost(8.0 * 3 * params.permutations * players, 2.0 * params.permutations * players**3)
    return Cost(8.0 * 4 * players**2, 2.0 * players**3)


def rank_contributions(data: RoundData, params: ContributionParams, progress: Progress) -> Sequence[Contributed]:
    """Return each client's contribution to a round, the greatest first; raise as `measure` does."""
    deltas = data.deltas(params.clients)
    weights = fedavg_weights([data.record.by_client[client].num_examples for client in deltas.members])
    estimate = measure(deltas.gram, weights, params, progress)
    return [
        Contributed(deltas.members[row], float(estimate.values[row]), float(estimate.errors[row]))
        for row in np.argsort(-estimate.values, kind="stable").tolist()
    ]


def measure(gram: Float64, weights: Float64, params: ContributionParams, progress: Progress = no_progress) -> Estimate:
    """Return each client's contribution, from the Gram matrix of deltas, shape (n, n), and FedAvg's weights, (n,).

    Raises:
        InvalidParameters: for exact values of more than 12 clients.
    """
    players = len(gram)
    utility = agreement(gram, weights)
    if params.method == "monte-carlo":
        rng = np.random.default_rng(params.seed)
        return truncated_monte_carlo(utility, players, params.permutations, params.tolerance, rng, progress)
    if params.method == "shapley":
        if players > MOST_EXACT:
            raise InvalidParameters(
                f"exact Shapley values of {players} clients need 2^{players} coalitions; up to "
                f"{MOST_EXACT} are possible, use method 'monte-carlo'"
            )
        return Estimate(exact(utility, players), np.zeros(players))
    if params.method == "leave-one-out":
        return Estimate(leave_one_out(utility, players), np.zeros(players))
    return Estimate(projections(gram, weights), np.zeros(players))
