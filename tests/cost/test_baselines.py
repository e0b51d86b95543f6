"""What the baselines cost, against amounts worked out by hand."""

import re

import pytest

from flstore_core.cost import (
    AWS,
    Reads,
    Usage,
    cache_hour_bill,
    cache_request_bill,
    objstore_hour_bill,
    objstore_request_bill,
    price_request,
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


def test_a_request_is_priced_in_all_three_systems() -> None:
    cost = price_request(Usage(gateway_s=0.004, invocations=1), ROUND, GIB).to_json()
    assert cost["dollars"] == pytest.approx(0.002 * 0.0000166667 + 2e-7)
    assert cost["objstore_dollars"] == pytest.approx(objstore_request_bill(ROUND).total)
    assert cost["cache_dollars"] == pytest.approx(cache_request_bill(ROUND, GIB).total)
    assert cost["dollars"] < 0.01 * cost["objstore_dollars"]


def test_every_price_says_where_and_when_it_was_read() -> None:
    listed = [getattr(AWS, name) for name in AWS.__dataclass_fields__ if name != "cache_nodes"]
    for price in [*listed, *(node.hour for node in AWS.cache_nodes)]:
        assert price.dollars > 0
        assert price.unit
        assert re.search(r"https://|arXiv", price.source)
        assert re.fullmatch(r"20\d\d-\d\d-\d\d", price.as_of)
