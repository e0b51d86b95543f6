"""How much each client contributed to the direction of its round, as Shapley values.

The worth of a coalition of clients is the cosine similarity of its FedAvg delta with the FedAvg delta of all clients
(Xu et al. 2021, Gradient-Driven Rewards, NeurIPS). A client's Shapley value (1953) is the worth that it adds when it
joins, averaged over all orders in which clients can join. For the updates (4, 0), (1, 0) and (-1, 0) of equal weight
the round points along the first axis; by the closed form (`alignment`) the clients contribute 1, 0.25 and -0.25. The
estimate from random orders is Ghorbani and Zou 2019, Data Shapley (ICML).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flstore_core.workloads import (
    Context,
    Cost,
    Needs,
    Partial,
    Pattern,
    Result,
    RoundData,
    RoundIndex,
    Weighted,
    one_round,
    unweighted,
)
from flstore_core.workloads.shared.contributions import ContributionParams, estimate_contributions, rank_contributions


@dataclass(frozen=True)
class ClientContribution(Result):
    """The contribution of one client."""

    client: str
    """Name of the client."""
    value: float
    """Its contribution; negative if the client moves the round away from its direction."""
    standard_error: float
    """Standard error of an estimated value; 0 for an exact one."""


@dataclass(frozen=True)
class ContributionResult(Weighted):
    """The contributions of all clients of a round."""

    round: int
    """The round that was read."""
    method: str
    """The method by which contributions were computed."""
    contributions: list[ClientContribution]
    """One entry for each client, the greatest contribution first."""
    total: float
    """Sum of all contributions. For Shapley values it is 1, the worth of all clients together, or 0 if the round has no
    direction."""


class Contribution:
    """How much each client contributed to the direction of its round (Shapley values)."""

    name = "contribution"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Shapley 1953; Xu et al. 2021, Gradient-Driven Rewards, NeurIPS; Ghorbani and Zou 2019, Data Shapley, ICML"
    params = ContributionParams
    result = ContributionResult

    def select(self, params: ContributionParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def cost(self, params: ContributionParams, rounds: Sequence[RoundData], parameters: int) -> Cost:
        return estimate_contributions(params, rounds)

    def combine(self, partials: Sequence[Partial], context: Context, params: ContributionParams) -> ContributionResult:
        data = context.round
        ranked = rank_contributions(data, params, context.progress)
        return ContributionResult(
            round=data.record.number,
            method=params.method,
            contributions=[ClientContribution(each.client, each.value, each.standard_error) for each in ranked],
            total=math.fsum(each.value for each in ranked),
            unweighted=unweighted(data.members(params.clients)),
        )
