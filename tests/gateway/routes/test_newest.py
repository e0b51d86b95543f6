"""The newest aggregate is sent from memory, and is never another one than the round has."""

import asyncio

import httpx
import numpy as np
import pytest
from safetensors.numpy import save
from starlette.types import Message

from services.gateway.app import create_app
from tests.fakes.store import Call
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import World, body, world

AGGREGATE = "/v1/jobs/job/rounds/0/aggregate"


@pytest.fixture
def job(gateway: World) -> World:
    gateway.create()
    return gateway


@pytest.fixture
def reads(gateway: World) -> list[str]:
    """The keys of files that the store is asked for."""
    keys: list[str] = []

    def note(call: Call) -> None:
        if call.method == "stream":
            keys.append(call.key)

    gateway.store.before = note
    return keys


async def test_an_aggregate_that_came_through_this_gateway_is_sent_from_memory(
    http: httpx.AsyncClient, job: World, reads: list[str]
) -> None:
    await http.put(AGGREGATE, content=body(3))
    whole = await http.get(AGGREGATE)
    assert (whole.status_code, whole.content) == (200, body(3))
    part = await http.get(AGGREGATE, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, body(3)[10:20])
    assert part.headers["content-range"] == f"bytes 10-19/{len(body(3))}"
    assert (await http.get(AGGREGATE, headers={"If-None-Match": whole.headers["etag"]})).status_code == 304
    assert (await http.head(AGGREGATE)).headers["content-length"] == str(len(body(3)))
    assert reads == []
    metrics = (await http.get("/metrics")).text.splitlines()
    assert {f"flstore_models_used_bytes {len(body(3))}.0", "flstore_models_hits_total 2.0"} <= {*metrics}


async def test_a_large_one_is_sent_whole(http: httpx.AsyncClient, gateway: World, reads: list[str]) -> None:
    elements = 2**19 + 3
    content = save({"w": np.arange(elements, dtype=np.float32)})
    await http.put("/v1/jobs/job", json={"schema": [{"name": "w", "dtype": "F32", "shape": [elements]}]})
    await http.put(AGGREGATE, content=content)
    assert (await http.get(AGGREGATE)).content == content
    assert reads == []


async def test_one_that_is_replaced_while_it_is_sent_arrives_whole(job: World) -> None:
    elements = 2**20
    first, second = (save({"w": np.full(elements, value, np.float32)}) for value in (1.0, 2.0))
    path = "/v1/jobs/large/rounds/0/aggregate"
    app, other = create_app(job.state), world(store=job.store, shards=job.shards, time=job.time)
    async with client_of(job) as http, client_of(other) as elsewhere:
        await http.put("/v1/jobs/large", json={"schema": [{"name": "w", "dtype": "F32", "shape": [elements]}]})
        await http.put(path, content=first)
        pieces: list[bytes] = []

        async def take(message: Message) -> None:
            if len(pieces) == 1:
                await elsewhere.put(f"{path}?replace=true", content=second)
                await http.put(f"{path}?replace=true", content=first[:-4] + bytes(4))
            pieces.append(bytes(message.get("body", b"")))

        await app({"type": "http", "method": "GET", "path": path, "query_string": b"", "headers": []}, nothing, take)
    assert len(pieces) > 3
    assert b"".join(pieces) == first


async def nothing() -> Message:
    """Wait for the end of a client that stays."""
    return await asyncio.get_running_loop().create_future()  # type: ignore[no-any-return]


async def test_a_client_s_update_is_read_from_the_store(http: httpx.AsyncClient, job: World, reads: list[str]) -> None:
    await http.put("/v1/jobs/job/rounds/0/clients/c", content=body(3))
    assert (await http.get("/v1/jobs/job/rounds/0/clients/c")).content == body(3)
    assert len(reads) == 1


async def test_without_a_budget_the_store_is_read() -> None:
    gateway = world(models_bytes=0)
    gateway.create()
    async with client_of(gateway) as http:
        await http.put(AGGREGATE, content=body(3))
        assert (await http.get(AGGREGATE)).content == body(3)
    assert gateway.state.newest.nbytes == 0


async def test_one_that_was_replaced_is_not_sent(http: httpx.AsyncClient, job: World, reads: list[str]) -> None:
    await http.put(AGGREGATE, content=body(3))
    await http.put(f"{AGGREGATE}?replace=true", content=body(4))
    assert (await http.get(AGGREGATE)).content == body(4)
    assert reads == []


async def test_one_that_was_replaced_through_another_gateway_is_not_sent(
    http: httpx.AsyncClient, job: World, reads: list[str]
) -> None:
    await http.put(AGGREGATE, content=body(3))
    async with client_of(world(store=job.store, shards=job.shards, time=job.time)) as other:
        await other.put(f"{AGGREGATE}?replace=true", content=body(4))
    assert (await http.get(AGGREGATE)).content == body(4)
    assert len(reads) == 1


@pytest.mark.parametrize("path", [AGGREGATE, "/v1/jobs/job"])
async def test_one_that_was_deleted_is_not_sent(http: httpx.AsyncClient, job: World, path: str) -> None:
    await http.put(AGGREGATE, content=body(3))
    assert (await http.delete(path)).status_code in (200, 204)
    assert (await http.get(AGGREGATE)).status_code == 404


async def test_a_job_of_the_same_name_has_its_own(http: httpx.AsyncClient, job: World, reads: list[str]) -> None:
    await http.put(AGGREGATE, content=body(3))
    await http.delete("/v1/jobs/job")
    assert job.state.newest.nbytes == 0
    job.time.sleep(1.0)
    job.create()
    await http.put(AGGREGATE, content=body(4))
    assert (await http.get(AGGREGATE)).content == body(4)
