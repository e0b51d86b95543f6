"""How a budget is split among a round's clients by what they contributed, in whole units.

Clients are paid in proportion to their contributions (Song, Tong and Wei 2019, Profit Allocation for Federated
Learning, IEEE Big Data), within an optional floor and cap. Amounts are rounded down, and the remaining units go to the
largest remainders (Hamilton's method). A budget of 100 for contributions of 3 and 1 is split into 75 and 25; for 8, 1
and 1 with a cap of 50, into 50, 25 and 25.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le

from flstore_core.errors import InvalidParameters
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
from flstore_core.workloads.methods.geometry import Float64
from flstore_core.workloads.shared.contributions import ContributionParams, estimate_contributions, rank_contributions

_LARGEST = 10**12
"""Largest amount; up to it floating-point numbers tell single units apart."""


@dataclass(frozen=True)
class IncentivesParams(ContributionParams):
    """How much is paid, within which bounds, and how contributions are computed."""

    budget: Annotated[int, Ge(0), Le(_LARGEST)] = 1_000_000
    """Sum of all payments, in the smallest unit of the currency."""
    floor: Annotated[int, Ge(0), Le(_LARGEST)] = 0
    """Least payment to each client, in the same unit."""
    cap: Annotated[int, Ge(0), Le(_LARGEST)] | None = None
    """Greatest payment to each client, in the same unit; no cap by default."""


@dataclass(frozen=True)
class Payment(Result):
    """The payment to one client."""

    client: str
    """Name of the client."""
    amount: int
    """Its payment, in the unit of the budget."""
    contribution: float
    """Its contribution. A client with a negative or no contribution gets no more than the floor, unless the caps of the
    others leave something."""


@dataclass(frozen=True)
class IncentivesResult(Weighted):
    """The payments for a round."""

    round: int
    """The round that is paid for."""
    budget: int
    """The budget, which is exactly the sum of all amounts."""
    payments: list[Payment]
    """One payment for each client, the greatest contribution first."""


class Incentives:
    """How a budget is split among a round's clients by what they contributed."""

    name = "incentives"
    pattern = Pattern.P2
    needs = Needs.STATISTICS
    source = "Song, Tong, Wei 2019, Profit Allocation for Federated Learning, IEEE Big Data"
    params = IncentivesParams
    result = IncentivesResult

    def select(self, params: IncentivesParams, index: RoundIndex) -> Sequence[int]:
        return one_round(params, index)

    def cost(self, params: IncentivesParams, rounds: Sequence[RoundData], parameters: int) -> Cost:
        return estimate_contributions(params, rounds)

    def combine(self, partials: Sequence[Partial], context: Context, params: IncentivesParams) -> IncentivesResult:
        ranked = rank_contributions(context.round, params, context.progress)
        values = np.array([each.value for each in ranked])
        amounts = split(params.budget, values, params.floor, params.cap)
        return IncentivesResult(
            round=context.round.record.number,
            budget=params.budget,
            payments=[Payment(each.client, amount, each.value) for each, amount in zip(ranked, amounts, strict=True)],
            unweighted=unweighted(context.round.members(params.clients)),
        )


def split(budget: int, contributions: Float64, floor: int = 0, cap: int | None = None) -> list[int]:
    """Return whole amounts within [floor, cap] that sum to `budget`, in proportion to the contributions, shape (n,).

    Raises:
        InvalidParameters: if the floors exceed the budget, or the caps together fall short of it.
    """
    count, most = len(contributions), budget if cap is None else min(cap, budget)
    if floor * count > budget:
        raise InvalidParameters(
            f"a floor of {floor} for {count} clients exceeds the budget of {budget}; use {budget // count} or less"
        )
    if most * count < budget or floor > most:
        raise InvalidParameters(
            f"a cap of {most} for {count} clients cannot pay out the budget of {budget}; "
            f"use {max(-(-budget // count), floor)} or more"
        )
    exact = np.clip(_level(budget, _weights(contributions), floor, most), floor, most)
    amounts = np.floor(exact).astype(np.int64)
    for row in np.argsort(amounts - exact, kind="stable").tolist():  # the largest remainder first
        amounts[row] += min(max(budget - int(amounts.sum()), 0), most - int(amounts[row]), 1)
    return _settle(amounts.tolist(), budget, floor, most)


def _weights(contributions: Float64) -> Float64:
    """Return positive weights in proportion to the contributions; next to nothing for one that is not positive."""
    gained = np.maximum(contributions, 0.0)
    return gained / gained.max() + 1e-12 if gained.max() > 0 else np.ones(len(gained))


def _level(budget: int, weights: Float64, floor: int, most: int) -> Float64:
    """Return the weights times the factor at which the amounts, clipped to floor and cap, sum to the budget.

    As a function of the factor that sum is piecewise linear. It bends where a client leaves the floor or meets the cap.
    Between two bends it is therefore interpolated exactly. For the weights 1, 1/8 and 1/8, a budget of 100 and a cap of
    50 the factor is 200: the weights become 200, 25 and 25, and the first is cut to 50.
    """
    bends = np.unique(np.concatenate([floor / weights, most / weights]))
    sums = np.clip(bends[:, None] * weights, floor, most).sum(axis=1)
    return np.asarray(np.interp(budget, sums, bends) * weights)


def _settle(amounts: list[int], budget: int, floor: int, most: int) -> list[int]:
    """Return the amounts with any units that rounding left over, or spent too many, given to or taken from clients."""
    left = budget - sum(amounts)
    for row, amount in enumerate(amounts):
        settled = min(max(amount + left, floor), most)
        left -= settled - amount
        amounts[row] = settled
    return amounts
