"""A shard's endpoints, in process: what gateways and the controller say over the wire, and what they are answered."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load

from flstore_core import codec, layout
from flstore_core.ids import ClientId, JobId, ShardId
from flstore_core.patterns import Pattern
from flstore_core.records import Job, Member, to_bytes
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard.protocol import (
    ASSIGNMENT,
    CLIENT,
    COMMITS,
    EXPLAIN,
    INVENTORY,
    JOB,
    MAP,
    MESSAGE_HEADER,
    SLICES,
    STATISTICS,
    WINDOW_HEADER,
    WORK_HEADER,
    AssignmentMessage,
    CommitMessage,
    MapRequest,
    MemberRef,
    SliceRef,
    StatisticsRequest,
    UploadMessage,
    Work,
)
from flstore_core.statistics import RoundStatistics
from services.common.proof import Keys
from services.shard.app import create_app
from services.shard.settings import Settings
from services.shard.state import State, create_state
from tests.fakes.clock import Clock
from tests.fakes.store import MemoryStore

J = JobId("j")
SCHEMA = Schema.of([TensorSpec("w", "F32", (6,))])
WHOLE = SliceRef(J, SCHEMA.digest, 1, 0)


def values(client: str) -> np.ndarray[Any, np.dtype[np.float32]]:
    return np.arange(6, dtype=np.float32) * (ord(client) - ord("a") + 1)


class Shard:
    """A shard over a store in memory, spoken to over HTTP without a socket."""

    def __init__(self) -> None:
        self.store = MemoryStore()
        self.store.put(layout.job(J), to_bytes(Job(J, SCHEMA).to_json()))
        self.clock = Clock()
        settings = Settings(ShardId("shard-7"), cache_bytes=10_000, policy="lru+arrival")
        self.state: State = create_state(settings, self.store, self.clock)
        self.app = create_app(self.state, Keys())
        self.http = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://shard")

    def member(self, client: str) -> MemberRef:
        """Store a client's update, and return where it lies."""
        body = codec.dumps({"w": values(client)})
        offset = codec.parse(memoryview(body)).data_offset
        self.store.put(layout.tensors(WHOLE.home, 1, ClientId(client)), body)
        record = Member(ClientId(client), f"sha-{client}", len(body), offset)
        self.store.put(layout.member(WHOLE.home, 1, ClientId(client)), to_bytes(record.to_json()))
        return MemberRef.of(1, record)

    async def upload(self, member: MemberRef, part: SliceRef = WHOLE, body: bytes | None = None) -> httpx.Response:
        headers = {MESSAGE_HEADER: json.dumps(UploadMessage(part, member, None).to_json())}
        return await self.http.put(
            SLICES, headers=headers, content=values(member.client).tobytes() if body is None else body
        )

    async def inventory(self) -> dict[str, Any]:
        answer: dict[str, Any] = (await self.http.get(INVENTORY)).json()
        return answer


@pytest.fixture
async def shard() -> AsyncIterator[Shard]:
    shard = Shard()
    yield shard
    await shard.http.aclose()


@asynccontextmanager
async def alive(shard: Shard) -> AsyncIterator[None]:
    async with shard.app.router.lifespan_context(shard.app):
        yield


async def test_a_slice_that_was_put_is_held_and_answers_statistics(shard: Shard) -> None:
    members = [shard.member(client) for client in "ab"]
    for member in members:
        answer = await shard.upload(member)
        assert (answer.status_code, answer.json()) == (200, {"admitted": True})
    answer = await shard.http.post(STATISTICS, json=StatisticsRequest(WHOLE, tuple(members), None).to_json())
    statistics = RoundStatistics.from_bytes(answer.content)
    rows = np.array([values("a"), values("b")], np.float64)
    assert statistics.members == ("a", "b")
    np.testing.assert_array_equal(statistics.gram, rows @ rows.T)
    assert Work.from_header(answer.headers[WORK_HEADER]).compute_s > 0


async def test_a_map_returns_a_partial_and_what_it_took(shard: Shard) -> None:
    members = tuple(shard.member(client) for client in "abc")
    await shard.upload(members[0])
    request = MapRequest(WHOLE, "aggregate", Pattern.P2, {}, members, None)
    answer = await shard.http.post(MAP, json=request.to_json())
    assert answer.headers["content-length"] == str(len(answer.content))
    work = Work.from_header(answer.headers[WORK_HEADER])
    assert (work.hits, work.misses, work.bytes_touched, work.bytes_fetched) == (1, 2, 72, 48)
    mean = np.mean([values(client) for client in "abc"], axis=0)
    assert any(np.allclose(array.ravel(), mean) for array in load(answer.content).values())


async def test_what_is_held_is_told_with_its_counters(shard: Shard) -> None:
    await shard.upload(shard.member("a"))
    shard.clock.now += 12.5
    inventory = await shard.inventory()
    assert inventory["shard"] == "shard-7"
    assert (inventory["awake_s"], inventory["prefetches_due"]) == (12.5, 0)
    assert (inventory["objects"], inventory["used_bytes"], inventory["budget_bytes"]) == (1, 24, 10_000)
    assert inventory["jobs"] == {"j": {"objects": 1, "slices": [0], "rounds": [1]}}
    assert set(inventory["shadows"]) == {"tailored", "lfu+arrival", "s3-fifo+arrival", "gdsf+arrival"}


async def test_a_key_is_explained(shard: Shard) -> None:
    await shard.upload(shard.member("a"))
    cached = (await shard.http.get(EXPLAIN, params={"key": "j/1/a"})).json()
    assert cached["cached"] is True
    missing = (await shard.http.get(EXPLAIN, params={"key": "j/1/b/0"})).json()
    assert missing["cached"] is False


async def test_a_deleted_job_and_an_erased_client_are_dropped(shard: Shard) -> None:
    for client in "abc":
        await shard.upload(shard.member(client))
    assert (await shard.http.delete(CLIENT.format(job="j", client="b"))).json() == {"dropped": 1}
    assert (await shard.inventory())["objects"] == 2
    assert (await shard.http.delete(JOB.format(job="other"))).json() == {"dropped": 0}
    assert (await shard.http.delete(JOB.format(job="j"))).json() == {"dropped": 2}
    assert (await shard.inventory())["jobs"] == {}


@pytest.mark.parametrize(("owned", "dropped"), [({"j": [0]}, 0), ({"j": [1]}, 2), ({}, 2), ({"k": [0]}, 2)])
async def test_slices_that_belong_to_others_are_dropped(
    shard: Shard, owned: dict[JobId, list[int]], dropped: int
) -> None:
    for client in "ab":
        await shard.upload(shard.member(client))
    answer = await shard.http.post(ASSIGNMENT, json=AssignmentMessage(3, owned).to_json())
    assert answer.json() == {"dropped": dropped}


async def test_a_commit_is_learned(shard: Shard) -> None:
    await shard.upload(shard.member("a"))
    answer = await shard.http.post(COMMITS, json=CommitMessage(WHOLE, 1).to_json())
    assert (answer.status_code, answer.content) == (204, b"")


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_it_is_alive_and_ready_whatever_the_store_does(shard: Shard, path: str) -> None:
    assert (await shard.http.get(path)).json() == {"status": "ok"}


async def test_metrics_name_the_shard(shard: Shard) -> None:
    await shard.upload(shard.member("a"))
    shard.state.startup.reached("process")
    text = (await shard.http.get("/metrics")).text
    assert 'flstore_cache_objects{shard="shard-7"} 1.0' in text
    assert 'flstore_shard_start_seconds{shard="shard-7",stage="process"}' in text


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"", "the slice has 0 bytes; expected 24"),
        (bytes(23), "the slice has 23 bytes; expected 24"),
        (bytes(25), "longer than the 24 bytes"),
    ],
)
async def test_a_body_of_another_length_is_refused(shard: Shard, body: bytes, message: str) -> None:
    answer = await shard.upload(shard.member("a"), body=body)
    assert answer.status_code == 422
    assert answer.json()["code"] == "invalid-parameters"
    assert message in answer.json()["detail"]


async def test_a_slice_of_another_schema_is_refused(shard: Shard) -> None:
    answer = await shard.upload(shard.member("a"), SliceRef(J, "0" * 64, 1, 0))
    assert answer.status_code == 422
    assert "another schema" in answer.json()["detail"]


async def test_a_job_that_does_not_exist_is_not_found(shard: Shard) -> None:
    answer = await shard.upload(shard.member("a"), SliceRef(JobId("nobody"), SCHEMA.digest, 1, 0))
    assert (answer.status_code, answer.json()["code"]) == (404, "not-found")


@pytest.mark.parametrize(
    ("method", "path"), [("POST", STATISTICS), ("POST", MAP), ("POST", COMMITS), ("PUT", SLICES), ("POST", ASSIGNMENT)]
)
async def test_a_message_that_is_no_json_is_refused(shard: Shard, method: str, path: str) -> None:
    answer = await shard.http.request(method, path, content=b"{half", headers={MESSAGE_HEADER: "{half"})
    assert answer.status_code == 422
    assert answer.json()["detail"] == "the message is not JSON"


async def test_more_than_the_cache_is_told_with_its_status(shard: Shard) -> None:
    members = tuple(MemberRef(1, ClientId(f"c{index}"), "sha", 8) for index in range(500))
    answer = await shard.http.post(MAP, json=MapRequest(WHOLE, "aggregate", Pattern.P2, {}, members, None).to_json())
    assert (answer.status_code, answer.json()["code"]) == (507, "insufficient-capacity")


async def test_a_window_of_what_is_more_than_the_cache_says_how_far_it_reaches(shard: Shard) -> None:
    shard.state = create_state(Settings(ShardId("s"), cache_bytes=50), shard.store, shard.clock)
    shard.app.state.shard = shard.state
    members = tuple(shard.member(client) for client in "abc")
    request = MapRequest(WHOLE, "aggregate", Pattern.P2, {}, members, None, start=2)
    answer = await shard.http.post(MAP, json=request.to_json())
    assert answer.headers[WINDOW_HEADER] == "2-3"
    assert Work.from_header(answer.headers[WORK_HEADER]).bytes_fetched == 12
    assert load(answer.content)["vector"].tolist() == [np.mean([values(client)[2] for client in "abc"])]
    whole = await shard.http.post(MAP, json=MapRequest(WHOLE, "aggregate", Pattern.P2, {}, members[:2], None).to_json())
    assert WINDOW_HEADER not in whole.headers


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1/cache"])
async def test_a_path_that_is_not_there_is_a_problem_too(shard: Shard, path: str) -> None:
    answer = await shard.http.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_requests_count_as_activity_and_idleness_makes_it_leave(shard: Shard) -> None:
    shard.state = create_state(Settings(ShardId("s"), cache_bytes=1000, idle_seconds=30.0), shard.store, shard.clock)
    shard.app.state.shard = shard.state
    shard.clock.now += 29.0
    assert not shard.state.should_leave()
    await shard.upload(shard.member("a"))
    shard.clock.now += 29.0
    assert not shard.state.should_leave()
    await shard.inventory()
    shard.clock.now += 1.0
    assert shard.state.should_leave(), "asking what it holds keeps nothing awake"


async def test_a_shard_without_an_idle_window_never_leaves_by_itself(shard: Shard) -> None:
    shard.clock.now += 1e9
    assert not shard.state.should_leave()


async def test_a_life_ends_with_the_manifest_of_what_was_held(shard: Shard) -> None:
    async with alive(shard):
        await shard.upload(shard.member("a"))
        stages = {sample.labels["stage"] for metric in shard.state.startup.collect() for sample in metric.samples}
        assert "process" in stages
    manifest = json.loads(shard.store.contents[layout.working_set("shard-7")])
    assert [entry["member"]["client"] for entry in manifest["entries"]] == ["a"]
