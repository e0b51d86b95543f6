"""What each client contributed to its round: Shapley values of the coalitions' agreement with the round's direction.

The worth of a coalition is the cosine similarity of its FedAvg delta with everybody's (Xu et al. 2021, Gradient-Driven
Rewards, NeurIPS). Exact values are Shapley 1953; the estimate is Ghorbani and Zou 2019, Data Shapley (ICML).
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from flstore_core.workloads import Context, Needs, Partial, Pattern, Result, RoundIndex, one_round
from flstore_core.workloads.shared.contributions import ContributionParams, rank_contributions


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
        ranked = rank_contributions(data, params, context.progress)
        return ContributionResult(
            round=data.record.number,
            method=params.method,
            contributions=[ClientContribution(each.client, each.value, each.standard_error) for each in ranked],
            total=math.fsum(each.value for each in ranked),
        )


MeasureContribution = Contribution  # the name in older installations; removed with them
