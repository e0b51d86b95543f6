"""Open rounds over HTTP: an update is replaced or taken back, and a round as a whole."""

import json

import httpx
import pytest

from tests.gateway.routes.conftest import client_of
from tests.gateway.world import NAME, World, body, world
from tests.running.jobs import problem

ROUND = f"/v1/jobs/{NAME}/rounds/0"
UPDATE = f"{ROUND}/clients/c0"


@pytest.fixture
def filled(gateway: World) -> World:
    gateway.create()
    gateway.fill(0, 2)
    return gateway


async def test_an_update_is_replaced_where_that_is_asked_for(http: httpx.AsyncClient, filled: World) -> None:
    refused = problem(await http.put(UPDATE, content=body(7)), 409, "conflict")
    assert refused["detail"].endswith("to put this one in its place, send it with replace=true")
    replaced = await http.put(UPDATE, content=body(7), params={"replace": "true"})
    assert (replaced.status_code, replaced.json()["created"]) == (201, True)
    assert (await http.get(UPDATE)).content == body(7)


async def test_a_replaced_update_is_what_answers_are_about(http: httpx.AsyncClient, filled: World) -> None:
    """Over shards that have computed with the earlier one already, and over others that never saw it."""
    metrics = {"x-flstore-metrics": json.dumps({"num_examples": 10})}
    await http.post(f"/v1/jobs/{NAME}/workloads/cosine-similarity", json={"round": 0})
    await http.put(UPDATE, content=body(7), params={"replace": "true"}, headers=metrics)
    open_answer = (await http.post(f"/v1/jobs/{NAME}/workloads/cosine-similarity", json={"round": 0})).json()
    await http.post(f"{ROUND}/commit")
    answer = (await http.post(f"/v1/jobs/{NAME}/workloads/cosine-similarity", json={"round": 0})).json()
    fresh = world()
    fresh.create()
    fresh.put(0, "c0", 7, num_examples=10)
    fresh.put(0, "c1", 2, num_examples=11)
    fresh.commit(0)
    expected = fresh.run("cosine-similarity", round=0).result
    assert open_answer["result"] == answer["result"] == expected


async def test_an_update_is_taken_back_until_the_round_is_committed(http: httpx.AsyncClient, filled: World) -> None:
    assert (await http.delete(UPDATE)).status_code == 204
    problem(await http.get(UPDATE), 404, "not-found")
    problem(await http.delete(UPDATE), 404, "not-found")
    await http.post(f"{ROUND}/commit")
    problem(await http.delete(f"{ROUND}/clients/c1"), 409, "round-committed")
    problem(await http.delete(ROUND), 409, "round-committed")


async def test_a_round_is_taken_back_and_filled_anew(http: httpx.AsyncClient, filled: World) -> None:
    await http.put(f"{ROUND}/aggregate", content=body(3))
    assert (await http.delete(f"{ROUND}/aggregate")).status_code == 204
    await http.put(f"{ROUND}/aggregate", content=body(3))
    answer = (await http.delete(ROUND)).json()
    assert answer == {"job": NAME, "round": 0, "dropped": ["c0", "c1", "aggregate"]}
    assert (await http.get(ROUND)).json()["members"] == []
    filled.fill(0, 2, first=4)
    assert [member["client"] for member in (await http.post(f"{ROUND}/commit")).json()["members"]] == ["c0", "c1"]


async def test_what_was_taken_back_by_one_gateway_is_gone_for_the_other(filled: World) -> None:
    async with client_of(filled) as one, client_of(world(store=filled.store)) as other:
        assert len((await other.get(ROUND)).json()["members"]) == 2
        await one.delete(UPDATE)
        assert [member["client"] for member in (await other.get(ROUND)).json()["members"]] == ["c1"]
        assert (await other.put(UPDATE, content=body(5))).status_code == 201
        assert (await one.get(UPDATE)).content == body(5)


async def test_rounds_and_jobs_that_are_not_there_are_not_found(http: httpx.AsyncClient, filled: World) -> None:
    problem(await http.delete(f"/v1/jobs/{NAME}/rounds/5"), 404, "not-found")
    problem(await http.delete("/v1/jobs/nothing/rounds/0"), 404, "not-found")
