"""Bills add up by kind, and savings are shares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cost import Bill, saving

dollars = st.floats(0, 1e6)
bills = st.builds(Bill, dollars, dollars, dollars)


@given(bills, bills, bills)
def test_bills_add_in_any_order(one: Bill, two: Bill, three: Bill) -> None:
    assert (one + two).total == (two + one).total
    assert ((one + two) + three).total == pytest.approx((one + (two + three)).total)
    assert one + Bill() == one


@given(bills)
def test_the_json_has_the_total_and_its_parts(bill: Bill) -> None:
    fields = bill.to_json()
    assert fields.pop("dollars") == pytest.approx(sum(fields.values()))
    assert fields == {"compute": bill.compute, "requests": bill.requests, "storage": bill.storage}


def test_a_bill_adds_by_kind_and_in_all() -> None:
    bill = Bill(1.0, 2.0, 4.0) + Bill(compute=0.5)
    assert bill.to_json() == {"dollars": 7.5, "compute": 1.5, "requests": 2.0, "storage": 4.0}


@pytest.mark.parametrize(
    ("ours", "theirs", "saved"), [(0.0, 2.0, 1.0), (0.5, 2.0, 0.75), (2.0, 2.0, 0.0), (3.0, 2.0, -0.5), (1.0, 0.0, 0.0)]
)
def test_a_saving_is_the_share_not_paid(ours: float, theirs: float, saved: float) -> None:
    assert saving(ours, theirs) == pytest.approx(saved)
