"""Costs by published prices: worked out by hand from the list in `flstore_core.cost.prices`."""

import json
from dataclasses import replace
from typing import Any

import pytest

from flstore_core import layout
from flstore_core.cost import Reads
from flstore_core.ids import ShardId
from flstore_core.placement.base import Shard, Table
from flstore_core.shard.protocol import Work
from services.gateway.answers.execution import Execution
from services.gateway.answers.pricing import Pricing
from services.gateway.backends.placement import Placement
from tests.fakes.store import MemoryStore
from tests.gateway.world import World, world

FUNCTION_GB_S, INVOCATION, GET, PUT = 0.0000166667, 0.2e-6, 0.4e-6, 5e-6


def pricing(*cache_bytes: int) -> Pricing:
    shards = {ShardId(f"shard-{i}"): Shard(ShardId(f"shard-{i}"), size) for i, size in enumerate(cache_bytes)}
    store = MemoryStore()
    store.put(layout.TABLE, json.dumps(Table(1, shards).to_json()).encode())
    placement = Placement("http://nobody", store)
    placement.load()
    return Pricing(placement)


EXECUTION = Execution(
    (ShardId("shard-0"), ShardId("shard-1")),
    2,
    Work(misses=3, fetch_s=0.2, compute_s=0.4),
    {"map": 0.3, "combine": 0.1},
)


def test_the_example_of_the_module() -> None:
    cost = pricing(600_000_000, 600_000_000).price(EXECUTION, Reads()).cost
    assert cost
    assert cost.ours.compute == pytest.approx(0.8 * FUNCTION_GB_S)
    assert cost.ours.requests == pytest.approx(3 * INVOCATION + 3 * GET)
    assert cost.ours.total == pytest.approx(15.13e-6, abs=0.005e-6)


def test_a_gateway_without_shards_costs_its_own_time() -> None:
    cost = pricing().price(replace(EXECUTION, slices=0, work=Work()), Reads()).cost
    assert cost
    assert cost.ours.total == pytest.approx(0.4 * 0.5 * FUNCTION_GB_S + INVOCATION)


def test_an_answer_given_again_costs_an_aggregator_as_much_as_before() -> None:
    prices = pricing(600_000_000)
    first = prices.price(EXECUTION, Reads(10, 10**9, 1))
    again = prices.price_again(Execution(seconds={"select": 0.001}, cached=True), first.cost)
    assert first.cost
    assert again.cost
    assert (again.cost.objstore, again.cost.cache) == (first.cost.objstore, first.cost.cache)
    assert again.cost.ours.total == pytest.approx(0.0005 * FUNCTION_GB_S + INVOCATION)
    assert prices.price_again(EXECUTION, None) is EXECUTION


def test_ingest_is_taken_to_keep_every_shard_busy() -> None:
    bill = pricing(600_000_000, 1_200_000_000).price_ingest(2.0, puts=2)
    assert bill.compute == pytest.approx(2.0 * (0.5 + 1.0 + 2.0) * FUNCTION_GB_S)
    assert bill.requests == pytest.approx(3 * INVOCATION + 2 * PUT)


@pytest.fixture
def filled() -> World:
    gateway = world()
    gateway.create()
    gateway.put_aggregate(0, 1)
    gateway.commit(0)
    gateway.fill(1, 3)
    gateway.put_aggregate(1, 2)
    gateway.commit(1)
    return gateway


@pytest.mark.parametrize(
    ("workload", "params", "models", "records"),
    [
        ("metrics", {}, 0, 2),
        ("cosine-similarity", {"round": 1}, 5, 1),  # three updates, the aggregate, the base
        ("aggregate", {"round": 1}, 3, 1),
    ],
)
def test_an_aggregator_reads_every_model_that_an_answer_needs(
    filled: World, workload: str, params: dict[str, Any], models: int, records: int
) -> None:
    """By the requests that it pays to the object store, a GET for each model and record."""
    cost = filled.run(workload, **params).execution.cost
    assert cost
    assert cost.objstore.requests == pytest.approx((models + records) * GET)
