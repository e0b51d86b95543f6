"""The base of a round over HTTP: named with an upload or by the commit."""

import hashlib
from typing import Any

import httpx
import pytest

from tests.gateway.world import NAME, World, body
from tests.running.jobs import problem

ROUND = f"/v1/jobs/{NAME}/rounds/2"
HASH = hashlib.sha256(body(3)).hexdigest()


@pytest.fixture
def filled(gateway: World) -> World:
    """Return a gateway with rounds 0 and 1, committed with the aggregates 3 and 4."""
    gateway.create()
    for number in (0, 1):
        gateway.fill(number, 2)
        gateway.put_aggregate(number, number + 3)
        gateway.commit(number)
    return gateway


async def similarities(http: httpx.AsyncClient) -> Any:
    answer = await http.post(f"/v1/jobs/{NAME}/workloads/cosine-similarity", json={"round": 2})
    return answer.json()["result"]["matrix"]


@pytest.mark.parametrize(("base", "number"), [("0", 0), (HASH, 0), ("1", 1), ("none", None)])
async def test_uploads_and_commits_name_the_base(
    http: httpx.AsyncClient, filled: World, base: str, number: int | None
) -> None:
    for client, seed in (("a", 1), ("b", 2)):
        await http.put(f"{ROUND}/clients/{client}", content=body(seed), params={"base": base})
    record = (await http.get(ROUND)).json()
    assert (record["base"], record["base_named"]) == (number, base)
    committed = (await http.post(f"{ROUND}/commit")).json()
    assert (committed["base"], committed["base_named"]) == (number, base)
    by_upload = await similarities(http)
    await http.put("/v1/jobs/other", json={"schema": filled.job.schema.to_json()})
    assert (await http.get(ROUND)).json() == committed
    assert by_upload == await similarities(http)


@pytest.mark.parametrize("base", [0, "0", HASH])
async def test_a_commit_names_the_base_of_its_round(http: httpx.AsyncClient, filled: World, base: int | str) -> None:
    await http.put(f"{ROUND}/clients/a", content=body(1))
    committed = (await http.post(f"{ROUND}/commit", json={"base": base})).json()
    assert (committed["base"], committed["base_sha256"], committed["base_named"]) == (0, HASH, str(base))


async def test_another_base_is_refused_and_both_are_named(http: httpx.AsyncClient, filled: World) -> None:
    await http.put(f"{ROUND}/aggregate", content=body(1), params={"base": "0"})
    for refused in (
        await http.put(f"{ROUND}/clients/a", content=body(1), params={"base": "1"}),
        await http.post(f"{ROUND}/commit", json={"base": 1}),
    ):
        told = problem(refused, 409, "conflict")
        assert (told["base"], told["named"]) == ("0", "1")


@pytest.mark.parametrize("base", ["2", "x", "", "-1", "01" * 31])
async def test_what_is_no_base_is_refused_before_the_body_is_read(
    http: httpx.AsyncClient, filled: World, base: str
) -> None:
    refused = await http.put(f"{ROUND}/clients/a", content=b"not a model", params={"base": base})
    assert "use the number of a round before 2" in problem(refused, 422, "invalid-parameters")["detail"]
    refused = await http.post(f"{ROUND}/commit", json={"base": base, "allow_empty": True})
    assert "use the number of a round before 2" in problem(refused, 422, "invalid-parameters")["detail"]


@pytest.mark.parametrize("base", [True, 1.5, [0], -1])
async def test_a_commit_takes_numbers_and_names_only(http: httpx.AsyncClient, filled: World, base: object) -> None:
    problem(await http.post(f"{ROUND}/commit", json={"base": base}), 422, "invalid-parameters")


async def test_a_hash_of_no_aggregate_is_not_found(http: httpx.AsyncClient, filled: World) -> None:
    refused = await http.put(f"{ROUND}/clients/a", content=body(1), params={"base": "0" * 64})
    assert "store that model as the aggregate of an earlier round first" in problem(refused, 404, "not-found")["detail"]
