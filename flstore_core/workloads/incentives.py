"""A round's budget paid out by contribution, in whole units, with an optional floor and cap.

Payment in proportion to Shapley values is Song, Tong and Wei 2019, Profit Allocation for Federated Learning (IEEE Big
Data); units left over by rounding go to the largest remainders (Hamilton's method).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import Context, Needs, Partial, Pattern, Result, RoundIndex, one_round
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.contributions import ContributionParams, rank_contributions

_MOST = 10**12


@dataclass(frozen=True)
class IncentivesParams(ContributionParams):
    """What is paid out, and within which bounds."""

    budget: Annotated[int, Ge(0), Le(_MOST)] = 1_000_000
    """What is paid out in all, in the smallest unit of the currency."""
    floor: Annotated[int, Ge(0), Le(_MOST)] = 0
    """Least payment to each client."""
    cap: Annotated[int, Ge(0), Le(_MOST)] | None = None
    """Greatest payment to each client; none by default."""


@dataclass(frozen=True)
class Payment(Result):
    """What one client gets."""

    client: str
    """The client."""
    amount: int
    """Its share of the budget, in the same unit."""
    contribution: float
    """What it is paid for; nothing is paid beyond the floor for a negative one, while others can take it."""


@dataclass(frozen=True)
class IncentivesResult(Result):
    """The budget, paid out."""

    round: int
    """The round paid for."""
    budget: int
    """Sum of all amounts, exactly."""
    payments: list[Payment]
    """Everybody's, by contribution, the greatest first."""


class Incentives:
    """A budget split among a round's clients by what they contributed."""

    name = "incentives"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Song, Tong, Wei 2019, Profit Allocation for Federated Learning, IEEE Big Data"
    params = IncentivesParams
    result = IncentivesResult

    def select(self, params: IncentivesParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: IncentivesParams) -> IncentivesResult:
        ranked = rank_contributions(context.round, params, context.progress)
        values = np.array([each.value for each in ranked])
        amounts = split(params.budget, values, params.floor, params.cap)
        return IncentivesResult(
            round=context.round.record.number,
            budget=params.budget,
            payments=[Payment(each.client, amount, each.value) for each, amount in zip(ranked, amounts, strict=True)],
        )


def split(budget: int, contributions: Float64, floor: int = 0, cap: int | None = None) -> list[int]:
    """Return whole amounts within [floor, cap] that sum to `budget`, otherwise in proportion to contributions.

    Raises:
        InvalidParameters: if floors alone are over the budget, or caps cannot take it up.
    """
    count, most = len(contributions), budget if cap is None else min(cap, budget)
    if floor * count > budget:
        raise InvalidParameters(f"a floor of {floor} for {count} clients is over the budget of {budget}")
    if most * count < budget or floor > most:
        raise InvalidParameters(f"a cap of {most} for {count} clients cannot take up the budget of {budget}")
    wanted = np.clip(_level(budget, _weights(contributions), floor, most), floor, most)
    amounts = np.floor(wanted).astype(np.int64)
    for row in np.argsort(amounts - wanted, kind="stable").tolist():
        amounts[row] += min(max(budget - int(amounts.sum()), 0), most - int(amounts[row]), 1)
    return _settle(amounts.tolist(), budget, floor, most)


def _weights(contributions: Float64) -> Float64:
    """Return positive weights: contributions, and next to nothing for who contributed nothing."""
    gained = np.maximum(contributions, 0.0)
    return gained / gained.max() + 1e-12 if gained.max() > 0 else np.ones(len(gained))


def _level(budget: int, weights: Float64, floor: int, most: int) -> Float64:
    """Return weights times the factor at which the clipped amounts sum to the budget.

    That sum grows with the factor along straight lines, which bend where a client leaves the floor or meets the cap.
    """
    bends = np.unique(np.concatenate([floor / weights, most / weights]))
    sums = np.clip(bends[:, None] * weights, floor, most).sum(axis=1)
    return np.asarray(np.interp(budget, sums, bends) * weights)


def _settle(amounts: list[int], budget: int, floor: int, most: int) -> list[int]:
    """Return the amounts with what rounding left over or overspent settled within the bounds."""
    left = budget - sum(amounts)
    for row, amount in enumerate(amounts):
        settled = min(max(amount + left, floor), most)
        left -= settled - amount
        amounts[row] = settled
    return amounts
