"""Aggregates over HTTP that are given out while the store is still being sent them."""

from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from tests.fakes.executors import HeldExecutor
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import World, inline_pools, world

AGGREGATE = "/v1/jobs/job/rounds/0/aggregate"


@pytest.fixture
def keepers() -> HeldExecutor:
    """What a gateway stores after its answers."""
    return HeldExecutor()


@pytest.fixture
def gateway(keepers: HeldExecutor) -> World:
    it = world(pools=replace(inline_pools(), keepers=keepers))
    it.create()
    it.fill(0, 3)
    return it


@pytest.fixture
async def other(gateway: World) -> AsyncIterator[httpx.AsyncClient]:
    """A client of another gateway of the same system."""
    async with client_of(world(store=gateway.store, shards=gateway.shards, time=gateway.time)) as client:
        yield client


async def give_out(http: httpx.AsyncClient) -> dict[str, str]:
    """Have the aggregate given out, and return the header that names it."""
    answer = await http.post(f"{AGGREGATE}?early=true", json={})
    assert answer.status_code == 202
    return {"If-Match": f'"{answer.json()["result"]["artifact"]["sha256"]}"'}


async def test_who_names_its_hash_has_it_at_once(http: httpx.AsyncClient, keepers: HeldExecutor) -> None:
    named = await give_out(http)
    early = await http.get(AGGREGATE, headers=named)
    part = await http.get(AGGREGATE, headers={**named, "Range": "bytes=10-19"})
    head = await http.head(AGGREGATE, headers=named)
    assert (early.status_code, early.headers["etag"]) == (200, named["If-Match"])
    assert (part.status_code, part.content) == (206, early.content[10:20])
    assert (head.status_code, head.headers["content-length"]) == (200, str(len(early.content)))
    assert (await http.get(AGGREGATE)).status_code == 404
    keepers.run_all()
    for headers in (named, {}):
        assert (await http.get(AGGREGATE, headers=headers)).content == early.content


async def test_another_gateway_asks_to_come_back_until_it_is_stored(
    http: httpx.AsyncClient, other: httpx.AsyncClient, keepers: HeldExecutor
) -> None:
    named = await give_out(http)
    early = await other.get(AGGREGATE, headers=named)
    assert (early.status_code, early.json()["code"], "retry-after" in early.headers) == (503, "unavailable", True)
    keepers.run_all()
    assert (await other.get(AGGREGATE, headers=named)).status_code == 200


async def test_another_hash_than_the_round_s_is_waited_for_while_the_round_is_open(http: httpx.AsyncClient) -> None:
    assert (await http.post(AGGREGATE, json={})).status_code == 200
    named = {"If-Match": f'"{"0" * 64}"'}
    assert (await http.get(AGGREGATE, headers=named)).status_code == 503
    assert (await http.post("/v1/jobs/job/rounds/0/commit", json={})).status_code == 200
    answer = await http.get(AGGREGATE, headers=named)
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition-failed")


@pytest.mark.parametrize("tags", ['"{}", "9f"', "*"])
async def test_one_of_several_hashes_will_do(http: httpx.AsyncClient, tags: str) -> None:
    made = await http.post(AGGREGATE, json={})
    headers = {"If-Match": tags.format(made.json()["result"]["artifact"]["sha256"])}
    assert (await http.get(AGGREGATE, headers=headers)).status_code == 200


async def test_a_client_s_update_is_asked_for_by_its_hash_likewise(http: httpx.AsyncClient) -> None:
    path = "/v1/jobs/job/rounds/0/clients/c0"
    named = {"If-Match": (await http.get(path)).headers["etag"]}
    assert (await http.get(path, headers=named)).status_code == 200
    assert (await http.get(path, headers={"If-Match": '"9f"'})).status_code == 503


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/jobs/job/rounds/0/commit"), ("DELETE", AGGREGATE), ("DELETE", "/v1/jobs/job/rounds/0")],
)
async def test_what_changes_the_round_waits_for_the_store(
    http: httpx.AsyncClient,
    gateway: World,
    keepers: HeldExecutor,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    path: str,
) -> None:
    sha256 = (await give_out(http))["If-Match"].strip('"')
    wait = type(gateway.state.given_out).wait

    def store_first(given_out: object, place: object) -> object:
        keepers.run_all()
        return wait(gateway.state.given_out, place)  # type: ignore[arg-type]

    monkeypatch.setattr(type(gateway.state.given_out), "wait", store_first)
    answer = await http.request(method, path)
    assert answer.is_success
    if method == "POST":
        assert answer.json()["aggregate"]["sha256"] == sha256
    else:
        assert (await http.get(AGGREGATE)).status_code == 404


async def test_what_cannot_be_stored_is_refused_at_once(http: httpx.AsyncClient, keepers: HeldExecutor) -> None:
    await http.post(AGGREGATE, json={})
    refused = await http.post(f"{AGGREGATE}?early=true", json={"method": "median"})
    assert (refused.status_code, refused.json()["code"], len(keepers)) == (409, "conflict", 0)
    taken = await http.post(f"{AGGREGATE}?early=true&replace=true", json={"method": "median"})
    assert (taken.status_code, len(keepers)) == (202, 1)
