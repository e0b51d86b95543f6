"""Metrics of a gateway: every request by its route's template, and nothing that is no request."""

from random import Random
from typing import Any

import pytest
from prometheus_client import generate_latest
from starlette.types import Message, Receive, Scope, Send

from flstore_core.cache import Cache, Ledger
from flstore_core.cost import Reads, Usage, price_request
from flstore_core.policies.registry import make_policy
from services.gateway.metrics import ColdStarts, GatewayMetrics, Measure
from services.gateway.rounds.newest import Newest
from tests.fakes.clock import Clock


@pytest.fixture
def metrics() -> GatewayMetrics:
    clock = Clock()
    cache: Cache[Any] = Cache(Ledger(make_policy("lru+arrival", 1000, clock, Random(0)), 1000, clock))
    return GatewayMetrics(cache, Newest(0))


async def drop(message: Message) -> None:
    """Send nothing anywhere."""


async def nothing() -> Message:
    return {"type": "http.disconnect"}


class Route:
    path = "/v1/jobs/{job}"


async def call(metrics: GatewayMetrics, scope: Scope, *statuses: int, fails: bool = False) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        for status in statuses:
            await send({"type": "http.response.start", "status": status})
        await send({"type": "http.response.body"})
        if fails:
            raise ZeroDivisionError

    await Measure(app, metrics)(scope, nothing, drop)


async def test_requests_are_counted_by_their_route_s_template(metrics: GatewayMetrics) -> None:
    scope = {"type": "http", "method": "GET", "route": Route()}
    await call(metrics, scope, 200)
    await call(metrics, scope, 404)
    with pytest.raises(ZeroDivisionError):
        await call(metrics, scope, fails=True)
    await call(metrics, {"type": "http", "method": "GET"}, 404)
    text = generate_latest(metrics.registry).decode()
    for route, status in (
        ("/v1/jobs/{job}", 200),
        ("/v1/jobs/{job}", 404),
        ("/v1/jobs/{job}", 500),
        ("unmatched", 404),
    ):
        assert f'flstore_requests_total{{method="GET",route="{route}",status="{status}"}} 1.0' in text
    assert 'flstore_request_seconds_count{route="/v1/jobs/{job}"} 3.0' in text


async def test_scopes_other_than_http_are_not_counted(metrics: GatewayMetrics) -> None:
    await call(metrics, {"type": "lifespan"})
    assert "flstore_requests_total{" not in generate_latest(metrics.registry).decode()


def test_a_request_s_cost_is_counted_here_and_at_both_baselines(metrics: GatewayMetrics) -> None:
    cost = price_request(Usage(gateway_s=1.0), Reads(2, 10**9), 10**9)
    for _ in range(2):
        metrics.count_cost(cost)
    for kind, bill in (("", cost.ours), ("_at_objstore", cost.objstore), ("_at_cache", cost.cache)):
        value = metrics.registry.get_sample_value("flstore_cost_dollars_total", {"kind": f"requests{kind}"})
        assert value == pytest.approx(2 * bill.total)


def test_a_call_that_began_before_the_process_that_answered_it_waited_for_its_start() -> None:
    cold_starts = ColdStarts()
    cold_starts.note(1.6, 0.7)
    cold_starts.note(0.2, 3600.0)
    [family] = cold_starts.seconds.collect()
    seconds = {sample.labels["stage"]: sample.value for sample in family.samples if sample.name.endswith("_sum")}
    counts = {sample.labels["stage"]: sample.value for sample in family.samples if sample.name.endswith("_count")}
    assert seconds == pytest.approx({"scheduled": 0.9, "answered": 0.7, "whole": 1.6})
    assert set(counts.values()) == {1.0}
