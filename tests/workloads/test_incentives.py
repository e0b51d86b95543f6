"""Payments: laws for any contributions, and small cases by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.workloads.incentives import Incentives, split
from tests.workloads.rounds import ask, make_round


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
