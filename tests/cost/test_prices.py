"""The price list against the amounts that AWS published for us-east-1 in mid-2025, and the paper's machine."""

import re

import pytest

from flstore_core.cost import AWS, Price
from flstore_core.cost.prices import CacheNode

LISTED = {name: getattr(AWS, name) for name in AWS.__dataclass_fields__ if name != "cache_nodes"}


@pytest.mark.parametrize(
    ("name", "dollars", "times"),
    [
        ("function_gb_second", 0.0000166667, 1),  # Lambda on x86, first tier
        ("function_request", 0.20, 1_000_000),
        ("store_put", 0.005, 1000),  # S3 Standard
        ("store_get", 0.0004, 1000),
        ("store_gb_month", 0.023, 1),  # first 50 TB
        ("node_cpu_hour", 0.04048, 1),  # Fargate on Linux and x86
        ("node_gib_hour", 0.004445, 1),
        ("aggregator_hour", 0.922, 1),  # ml.m5.4xlarge of SageMaker
    ],
)
def test_amounts_are_those_of_the_lists(name: str, dollars: float, times: int) -> None:
    assert LISTED[name].dollars * times == pytest.approx(dollars)


def test_no_price_is_left_out_here() -> None:
    assert len(LISTED) == 8


@pytest.mark.parametrize("price", [*LISTED.values(), *(node.hour for node in AWS.cache_nodes)], ids=str)
def test_every_price_says_its_unit_and_where_and_when_it_was_read(price: Price) -> None:
    assert price.dollars > 0
    assert price.unit
    assert re.search(r"https://|arXiv", price.source)
    assert re.fullmatch(r"20\d\d-\d\d-\d\d", price.as_of)


def test_larger_cache_nodes_cost_more_and_come_later() -> None:
    nodes: tuple[CacheNode, ...] = AWS.cache_nodes
    assert [node.gib for node in nodes] == sorted({node.gib for node in nodes})
    assert [node.hour.dollars for node in nodes] == sorted({node.hour.dollars for node in nodes})
