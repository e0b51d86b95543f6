"""Aggregates over HTTP that clients have early, while the store is still being sent them."""

from collections.abc import AsyncIterator
from dataclasses import replace
from types import SimpleNamespace

import httpx
import pytest

from flstore_core import layout
from flstore_core.ids import Home
from services.gateway.answers.early_models import EarlyModels
from services.gateway.routes import rounds
from tests.fakes.executors import HeldExecutor
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import NAME, World, inline_pools, world

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


async def make_early(http: httpx.AsyncClient) -> dict[str, str]:
    """Have the aggregate made early, and return the header that names it."""
    answer = await http.post(f"{AGGREGATE}?early=true", json={})
    assert answer.status_code == 202
    return {"If-Match": f'"{answer.json()["result"]["artifact"]["sha256"]}"'}


async def test_who_names_its_hash_has_it_at_once(http: httpx.AsyncClient, keepers: HeldExecutor) -> None:
    named = await make_early(http)
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


async def test_the_store_is_sent_it_when_a_client_has_it(http: httpx.AsyncClient, gateway: World) -> None:
    named = await make_early(http)
    model = gateway.state.early_models.find(layout.home(NAME, "g1"), 0, [named["If-Match"].strip('"')])
    assert model
    assert not model.due.is_set()
    await http.head(AGGREGATE, headers=named)
    assert not model.due.is_set()
    await http.get(AGGREGATE, headers=named)
    assert model.due.is_set()


async def test_another_gateway_waits_until_it_is_stored(
    http: httpx.AsyncClient, other: httpx.AsyncClient, keepers: HeldExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    named = await make_early(http)
    pauses: list[float] = []

    async def store_at_the_third(pause_s: float) -> None:
        pauses.append(pause_s)
        if len(pauses) == 3:
            keepers.run_all()

    monkeypatch.setattr(rounds, "asyncio", SimpleNamespace(sleep=store_at_the_third))
    assert (await other.get(AGGREGATE, headers=named)).headers["etag"] == named["If-Match"]
    assert pauses == [0.1, 0.2, 0.4]


async def test_after_a_while_another_gateway_asks_to_come_back(
    http: httpx.AsyncClient, other: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "AWAITED_PAUSES_S", ())
    answer = await other.get(AGGREGATE, headers=await make_early(http))
    assert (answer.status_code, answer.json()["code"], "retry-after" in answer.headers) == (503, "unavailable", True)


async def test_another_hash_than_the_round_s_is_waited_for_while_the_round_is_open(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rounds, "AWAITED_PAUSES_S", ())
    assert (await http.post(AGGREGATE, json={})).status_code == 200
    named = {"If-Match": f'"{"0" * 64}"'}
    assert (await http.get(AGGREGATE, headers=named)).status_code == 503
    assert (await http.post("/v1/jobs/job/rounds/0/commit", json={})).status_code == 200
    answer = await http.get(AGGREGATE, headers=named)
    assert (answer.status_code, answer.json()["code"]) == (412, "precondition-failed")


async def test_a_round_that_was_never_opened_is_not_waited_for(http: httpx.AsyncClient) -> None:
    answer = await http.get("/v1/jobs/job/rounds/7/aggregate", headers={"If-Match": '"9f"'})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    ("form", "status"),
    [("{}", 200), ('"9f", {}', 200), ("*", 200), ('"9f", *', 200), ("W/{}", 412), ('"9f"', 412), ("9f", 412)],
)
async def test_a_file_is_sent_if_it_has_one_of_the_hashes_that_are_named(
    http: httpx.AsyncClient, form: str, status: int
) -> None:
    path = "/v1/jobs/job/rounds/0/clients/c0"
    etag = (await http.get(path)).headers["etag"]
    assert (await http.get(path, headers={"If-Match": form.format(etag)})).status_code == status


async def test_an_early_one_may_be_one_of_several(http: httpx.AsyncClient) -> None:
    named = (await make_early(http))["If-Match"]
    answer = await http.get(AGGREGATE, headers=[("If-Match", '"9f"'), ("If-Match", f'"e0", {named}')])
    assert (answer.status_code, answer.headers["etag"]) == (200, named)


async def test_an_erasure_tells_of_an_aggregate_that_clients_have_already(
    http: httpx.AsyncClient, keepers: HeldExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    await make_early(http)
    monkeypatch.setattr(EarlyModels, "wait_for_all", lambda *_: keepers.run_all())
    answer = await http.delete("/v1/jobs/job/clients/c1")
    assert answer.json()["remains"]["aggregates"] == [0]


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
    sha256 = (await make_early(http))["If-Match"].strip('"')
    wait = EarlyModels.wait

    def store_first(models: EarlyModels, home: Home, number: int) -> object:
        keepers.run_all()
        return wait(models, home, number)

    monkeypatch.setattr(EarlyModels, "wait", store_first)
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
