"""What the baselines cost, against amounts worked out by hand."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.cost import (
    AWS,
    Price,
    Reads,
    cache_hour_bill,
    cache_request_bill,
    objstore_hour_bill,
    objstore_request_bill,
    smallest_cache_node,
)
from flstore_core.errors import InvalidParameters

GIB = 2**30
ROUND = Reads(objects=10, nbytes=900_000_000)
"""Ten models of 90 MB: each takes one second of its own stream, side by side."""


def test_a_round_from_the_object_store_keeps_the_machine_busy_for_its_transfer() -> None:
    bill = objstore_request_bill(ROUND)
    assert bill.compute == pytest.approx(1.02 / 3600 * 0.922)
    assert bill.requests == pytest.approx(10 * 0.0004 / 1000)


def test_more_objects_than_streams_take_another_turn_and_share_the_machines_network() -> None:
    # 32 objects of 100 MB over 16 streams: 16 × 90 MB/s is more than the machine's 1.25 GB/s.
    bill = objstore_request_bill(Reads(objects=32, nbytes=3_200_000_000))
    assert bill.compute == pytest.approx((2 * 0.020 + 3.2 / 1.25) / 3600 * 0.922)


def test_a_cached_round_pays_for_the_node_too_and_reads_nothing_from_the_store() -> None:
    bill = cache_request_bill(ROUND, 10 * GIB)
    assert bill.compute == pytest.approx((0.0005 + 0.9 / 1.25) / 3600 * (0.922 + 0.206))
    assert bill.requests == 0.0


def test_records_are_read_before_models() -> None:
    both, models = objstore_request_bill(Reads(10, 900_000_000, records=5)), objstore_request_bill(ROUND)
    assert both.compute - models.compute == pytest.approx(0.020 / 3600 * 0.922)


def test_nothing_read_costs_nothing() -> None:
    assert objstore_request_bill(Reads()).total == 0.0
    assert cache_request_bill(Reads(), GIB).total == 0.0


def test_an_hour_costs_the_machine_and_the_smallest_node_that_is_large_enough() -> None:
    assert objstore_hour_bill().total == pytest.approx(0.922)
    assert cache_hour_bill(2 * GIB).total == pytest.approx(0.922 + 0.065)
    assert smallest_cache_node(int(3.09 * GIB)).name == "cache.t4g.medium"
    assert smallest_cache_node(int(3.09 * GIB) + 1).name == "cache.r6g.large"


def test_a_cache_larger_than_any_node_is_refused_by_name() -> None:
    with pytest.raises(InvalidParameters, match=r"largest, cache\.r6g\.4xlarge"):
        smallest_cache_node(200 * GIB)


@pytest.mark.parametrize(
    ("objects", "nbytes", "seconds"),
    [
        (1, 90_000_000, 0.020 + 1.0),  # one stream
        (13, 1_170_000_000, 0.020 + 1.0),  # thirteen streams: 1.17 GB/s is below the machine's 1.25
        (16, 1_440_000_000, 0.020 + 1.44 / 1.25),  # sixteen would carry 1.44 GB/s
        (17, 1_440_000_000, 2 * 0.020 + 1.44 / 1.25),  # one more object is one more turn
    ],
)
def test_transfer_time_follows_from_streams_turns_and_the_network(objects: int, nbytes: int, seconds: float) -> None:
    assert objstore_request_bill(Reads(objects, nbytes)).compute == pytest.approx(seconds / 3600 * 0.922)


def test_the_example_in_the_module() -> None:
    bill = objstore_request_bill(ROUND)
    assert (round(bill.compute, 6), round(bill.requests, 6)) == (0.000261, 0.000004)


def test_computing_keeps_the_machine_busy_too() -> None:
    idle, busy = objstore_request_bill(ROUND), objstore_request_bill(ROUND, compute_s=36.0)
    assert busy.compute - idle.compute == pytest.approx(0.00922)
    cached = cache_request_bill(Reads(), GIB, compute_s=36.0)
    assert cached.compute == pytest.approx((0.922 + 0.032) / 100)


def test_other_prices_can_be_named() -> None:
    dear = replace(AWS, store_get=Price(1.0, "GET", "https://example.org"))
    assert objstore_request_bill(ROUND, prices=dear).requests == 10.0


@pytest.mark.parametrize("index", range(len(AWS.cache_nodes)))
def test_each_node_is_rented_up_to_its_last_byte(index: int) -> None:
    node = AWS.cache_nodes[index]
    assert smallest_cache_node(int(node.gib * GIB)) == node
    if index + 1 < len(AWS.cache_nodes):
        assert smallest_cache_node(int(node.gib * GIB) + 1) == AWS.cache_nodes[index + 1]


@given(st.integers(1, 64), st.integers(1, 10**10), st.integers(0, 64))
def test_reading_more_never_costs_less(objects: int, nbytes: int, records: int) -> None:
    reads, more = Reads(objects, nbytes, records), Reads(objects, 2 * nbytes, records + 1)
    assert objstore_request_bill(more).total > objstore_request_bill(reads).total
    assert cache_request_bill(more, GIB).total > cache_request_bill(reads, GIB).total
