"""One request in all three systems, worked out by hand."""

import pytest

from flstore_core.cost import Reads, Usage, price_request

GIB = 2**30


def test_a_request_is_priced_in_all_three_systems() -> None:
    """4 ms of a gateway with half a GB; elsewhere ten models of 90 MB on a machine at $0.922 an hour."""
    cost = price_request(Usage(gateway_s=0.004, invocations=1), Reads(10, 900_000_000), GIB).to_json()
    assert cost["dollars"] == pytest.approx(0.002 * 0.0000166667 + 0.20 / 1e6)
    assert cost["objstore_dollars"] == pytest.approx(1.02 / 3600 * 0.922 + 10 * 0.0004 / 1000)
    assert cost["cache_dollars"] == pytest.approx((0.0005 + 0.9 / 1.25) / 3600 * (0.922 + 0.032))
    assert cost["compute"] + cost["requests"] + cost["storage"] == pytest.approx(cost["dollars"])


def test_the_papers_saving_is_within_reach_of_one_request() -> None:
    """FLStore reports at least 98.83 % less cost on average than the object-store aggregator (arXiv:2503.00323)."""
    cost = price_request(Usage(gateway_s=0.004, invocations=1), Reads(10, 10 * 46_760_000), GIB)
    assert cost.ours.total < (1 - 0.9883) * cost.objstore.total


def test_what_an_aggregator_reads_adds_up() -> None:
    assert Reads(1, 10, 2) + Reads(3, 30, 4) == Reads(objects=4, nbytes=40, records=6)


def test_the_json_has_the_fields_of_an_answer() -> None:
    fields = price_request(Usage(), Reads(), GIB).to_json()
    assert fields == dict.fromkeys(
        ("dollars", "compute", "requests", "storage", "objstore_dollars", "cache_dollars"), 0.0
    )
