"""What FLStore costs, against amounts worked out by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cost import Usage, idle_hour_bill, lambda_bill, node_bill, storage_bill
from flstore_core.cost.serverless import shard_gb

times = st.floats(0, 1e4)
counts = st.integers(0, 10**6)
usages = st.builds(Usage, times, times, counts, counts, counts)


def test_functions_pay_for_memory_while_they_work() -> None:
    # 2 s × 0.5 GB of the gateway and 9 GB·s of shards are 10 GB·s; 1,000,000 invocations are 20 cents.
    bill = lambda_bill(Usage(gateway_s=2.0, shard_gb_s=9.0, invocations=1_000_000))
    assert bill.compute == pytest.approx(0.000166667)
    assert bill.requests == pytest.approx(0.20)


def test_reading_a_thousand_objects_and_writing_a_thousand_costs_as_listed() -> None:
    assert lambda_bill(Usage(gets=1000)).total == pytest.approx(0.0004)
    assert lambda_bill(Usage(puts=1000)).total == pytest.approx(0.005)


def test_a_pod_pays_for_every_second_it_lives() -> None:
    # Half an hour of 2 CPUs and 4 GiB: (2 × 0.04048 + 4 × 0.004445) / 2.
    assert node_bill(1800.0, 2.0, 4.0).total == pytest.approx(0.04937)


def test_an_idle_hour_on_a_node_is_the_gateway_alone() -> None:
    assert idle_hour_bill().total == pytest.approx(0.25 * 0.04048 + 0.5 * 0.004445)


def test_a_gigabyte_for_a_month_costs_its_list_price() -> None:
    assert storage_bill(1e9, 730.0).total == pytest.approx(0.023)


def test_a_shard_reserves_more_memory_than_its_cache() -> None:
    assert shard_gb(600_000_000) == pytest.approx(1.0)


@given(usages, usages)
def test_what_two_pieces_of_work_cost_adds_up(one: Usage, other: Usage) -> None:
    together = lambda_bill(one + other)
    apart = lambda_bill(one) + lambda_bill(other)
    assert together.total == pytest.approx(apart.total)


@given(usages, usages)
def test_usage_adds_field_by_field(one: Usage, other: Usage) -> None:
    both = one + other
    assert both.gateway_s == one.gateway_s + other.gateway_s
    assert both.shard_gb_s == one.shard_gb_s + other.shard_gb_s
    assert (both.invocations, both.gets, both.puts) == (
        one.invocations + other.invocations,
        one.gets + other.gets,
        one.puts + other.puts,
    )


@given(st.floats(0, 1e5), st.floats(0, 64), st.floats(0, 256))
def test_twice_the_time_costs_twice_as_much(seconds: float, cpus: float, gib: float) -> None:
    assert node_bill(2 * seconds, cpus, gib).total == pytest.approx(2 * node_bill(seconds, cpus, gib).total)


def test_nothing_used_costs_nothing() -> None:
    assert lambda_bill(Usage()).total == node_bill(0.0, 2.0, 4.0).total == storage_bill(0.0, 100.0).total == 0.0
