"""What each client contributed to its round: Shapley values of the coalitions' agreement with the round's direction.

The worth of a coalition is the cosine similarity of its FedAvg delta with everybody's (Xu et al. 2021, Gradient-Driven
Rewards, NeurIPS). Exact values are Shapley 1953; the estimate is Ghorbani and Zou 2019, Data Shapley (ICML).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Le
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import (
    Context,
    Needs,
    Partial,
    Pattern,
    Progress,
    Result,
    RoundIndex,
    RoundParams,
    fedavg_weights,
    no_progress,
    one_round,
)
from flstore_core.workloads.methods.geometry import Float64, inverse
from flstore_core.workloads.methods.shapley import Estimate, Utility, exact, leave_one_out, truncated_monte_carlo

MOST_EXACT = 12


@dataclass(frozen=True)
class ContributionParams(RoundParams):
    """How contributions are measured."""

    method: Literal["alignment", "leave-one-out", "shapley", "monte-carlo"] = "alignment"
    """`alignment`: weight × projection on the round's direction, the closed form of the Shapley value when worth is
    that projection; `leave-one-out`: worth lost without the client,
    which flatters one that drags the round its own way; `shapley`: exact, up to 12 clients;
    `monte-carlo`: the same by random permutations, with standard errors."""
    permutations: Annotated[int, Ge(2), Le(100_000)] = 200
    """Random permutations of `monte-carlo`."""
    tolerance: Annotated[float, Ge(0), Le(1)] = 0.0
    """`monte-carlo` ends a permutation when its worth is this near everybody's."""
    seed: Annotated[int, Ge(0), Le(2**63)] = 0
    """Seed of the permutations."""


@dataclass(frozen=True)
class ClientContribution(Result):
    """One client's part."""

    client: str
    """The client."""
    value: float
    """Its contribution; negative if the round would be better without it."""
    standard_error: float
    """Of an estimated value; 0 for an exact one."""


@dataclass(frozen=True)
class ContributionResult(Result):
    """Who contributed what."""

    round: int
    """The round answered for."""
    method: str
    """How contributions were measured."""
    contributions: list[ClientContribution]
    """Everybody's, the greatest first."""
    total: float
    """Their sum: 1 where they are Shapley values, as the round agrees with itself fully."""


class Contribution:
    """What each client contributed to the direction of its round."""

    name = "contribution"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Shapley 1953; Xu et al. 2021, Gradient-Driven Rewards, NeurIPS; Ghorbani and Zou 2019, Data Shapley, ICML"
    params = ContributionParams
    result = ContributionResult

    def select(self, params: ContributionParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: ContributionParams) -> ContributionResult:
        data = context.round
        deltas = data.deltas(params.clients)
        weights = fedavg_weights([data.record.by_client[client].num_examples for client in deltas.members])
        found = measure(deltas.gram, weights, params, context.progress)
        ranked = np.argsort(-found.values, kind="stable")
        return ContributionResult(
            round=data.record.number,
            method=params.method,
            contributions=[
                ClientContribution(deltas.members[row], float(found.values[row]), float(found.errors[row]))
                for row in ranked.tolist()
            ],
            total=float(found.values.sum()),
        )


def measure(gram: Float64, weights: Float64, params: ContributionParams, progress: Progress = no_progress) -> Estimate:
    """Return each client's contribution, from the Gram matrix of deltas, shape (n, n), and FedAvg's weights, (n,)."""
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
    return Estimate(_projections(gram, weights), np.zeros(players))


def agreement(gram: Float64, weights: Float64) -> Utility:
    """Return the worth of coalitions: cosine similarity of their FedAvg delta with everybody's; 0 for a zero delta."""
    whole = weights @ gram @ weights

    def utility(members: NDArray[np.bool_]) -> Float64:
        parts = members * weights
        products = parts @ gram
        squares = np.maximum((products * parts).sum(axis=1), 0.0)
        floor = 1e-12 * whole * (squares > 0)
        return np.asarray(products @ weights * inverse(np.sqrt(np.maximum(squares, floor) * max(whole, 0.0))))

    return utility


def _projections(gram: Float64, weights: Float64) -> Float64:
    along = gram @ weights * weights
    return np.asarray(along / along.sum() if along.sum() > 0 else np.zeros(len(along)))


MeasureContribution = Contribution  # the name in older installations; removed with them
