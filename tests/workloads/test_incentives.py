"""Payments: laws for any contributions, and small cases by hand."""

from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.workloads.incentives import Incentives, IncentivesParams, split
from tests.workloads.rounds import Index, ask, make_round


@given(
    st.lists(st.floats(-1, 1), min_size=1, max_size=20),
    st.integers(0, 10**9),
    st.floats(0, 1),
    st.floats(0, 1),
)
def test_payments_sum_to_the_budget_within_floor_and_cap(
    contributions: list[float], budget: int, low: float, high: float
) -> None:
    floor = int(low * (budget // len(contributions)))
    fair = -(-budget // len(contributions))
    cap = fair + int(high * (budget - fair))
    amounts = split(budget, np.array(contributions), floor, cap)
    assert sum(amounts) == budget
    assert all(floor <= amount <= cap for amount in amounts)


@given(st.lists(st.floats(0.01, 1), min_size=2, max_size=9), st.integers(10, 10**9))
def test_without_bounds_payments_are_proportional_to_a_unit(contributions: list[float], budget: int) -> None:
    exact = budget * np.array(contributions) / sum(contributions)
    assert np.abs(np.array(split(budget, np.array(contributions))) - exact).max() <= 1.0001


@pytest.mark.parametrize(
    ("contributions", "bounds", "amounts"),
    [
        ([3, 1], {}, [75, 25]),
        ([1, 1, 1], {}, [34, 33, 33]),
        ([2, -1, 2], {}, [50, 0, 50]),
        ([5e-324, 0], {}, [100, 0]),
        ([2, -1, 2], {"floor": 10}, [45, 10, 45]),
        ([8, 1, 1], {"cap": 50}, [50, 25, 25]),
        ([0, 0], {}, [50, 50]),
        ([1, 0, 0], {"cap": 60}, [60, 20, 20]),
    ],
)
def test_by_hand(contributions: list[float], bounds: dict[str, int], amounts: list[int]) -> None:
    assert split(100, np.array(contributions, float), **bounds) == amounts


def test_bounds_that_cannot_be_kept_are_refused_with_the_numbers() -> None:
    with pytest.raises(InvalidParameters, match="floor of 60 for 2 clients"):
        split(100, np.ones(2), floor=60)
    with pytest.raises(InvalidParameters, match="cap of 40 for 2 clients"):
        split(100, np.ones(2), cap=40)


def test_a_round_is_paid_by_contribution() -> None:
    rows = np.array([[4.0, 0, 0], [1, 0, 0], [-1, 0, 0]])
    answer = ask(Incentives(), make_round(rows), budget=1000)
    assert [(paid.client, paid.amount) for paid in answer.payments] == [("c0", 800), ("c1", 200), ("c2", 0)]


def nearest_to_exact(budget: int, contributions: list[int], floor: int, cap: int) -> float:
    """Return the least greatest gap from proportional amounts that any whole amounts within the bounds have."""
    exact = budget * np.array(contributions) / sum(contributions)
    choices = product(range(floor, min(cap, budget) + 1), repeat=len(contributions))
    return min(float(np.abs(np.array(each) - exact).max()) for each in choices if sum(each) == budget)


@given(st.lists(st.integers(1, 9), min_size=2, max_size=3), st.integers(1, 9))
def test_small_budgets_are_split_as_near_to_proportional_as_can_be(contributions: list[int], budget: int) -> None:
    amounts = split(budget, np.array(contributions, float))
    exact = budget * np.array(contributions) / sum(contributions)
    best = nearest_to_exact(budget, contributions, 0, budget)
    assert np.abs(np.array(amounts) - exact).max() <= best + 1e-6


@pytest.mark.parametrize("method", ["alignment", "leave-one-out", "shapley", "monte-carlo"])
def test_payments_follow_the_contributions_of_any_method(method: str) -> None:
    rows = np.array([[4.0, 1, 0], [1, 0, 1], [-1, 0, 0]])
    answer = ask(Incentives(), make_round(rows, number=7), budget=999, method=method)
    assert (answer.round, answer.budget) == (7, 999)
    assert sum(paid.amount for paid in answer.payments) == 999
    contributions = [paid.contribution for paid in answer.payments]
    assert contributions == sorted(contributions, reverse=True)
    assert [paid.amount for paid in answer.payments] == sorted((p.amount for p in answer.payments), reverse=True)


def test_one_client_and_zero_updates_share_the_whole_budget() -> None:
    assert [paid.amount for paid in ask(Incentives(), make_round(np.ones((1, 3))), budget=7).payments] == [7]
    assert [paid.amount for paid in ask(Incentives(), make_round(np.zeros((2, 3))), budget=7).payments] == [4, 3]
    assert [paid.amount for paid in ask(Incentives(), make_round(np.ones((2, 3))), budget=0).payments] == [0, 0]


@pytest.mark.parametrize(
    ("bounds", "said"),
    [
        ({"floor": 51}, "floor of 51 for 2 clients exceeds the budget of 100; use 50 or less"),
        ({"cap": 49}, "cap of 49 for 2 clients cannot pay out the budget of 100; use 50 or more"),
        ({"floor": 40, "cap": 30}, "cap of 30 .* use 50 or more"),
    ],
)
def test_the_refusal_says_which_bounds_would_do(bounds: dict[str, Any], said: str) -> None:
    with pytest.raises(InvalidParameters, match=said):
        ask(Incentives(), make_round(np.ones((2, 3))), budget=100, **bounds)


def test_only_named_clients_are_paid() -> None:
    rows = np.array([[4.0, 0, 0], [1, 0, 0], [1, 0, 0]])
    answer = ask(Incentives(), make_round(rows), budget=10, clients=["c1", "c2"])
    assert {paid.client: paid.amount for paid in answer.payments} == {"c1": 5, "c2": 5}
    with pytest.raises(NotFound, match="client in round 0 'c9'"):
        ask(Incentives(), make_round(rows), clients=["c9"])
    assert Incentives().select(IncentivesParams(round=3), Index(committed=[1], open=[3])) == (3,)
