"""Several gateways, tokens, erasures and long work in running services, over each kind of store."""

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any
from uuid import uuid4

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from flstore_core import layout
from flstore_core.ids import ClientId
from flstore_core.statistics import RoundStatistics
from tests.running.homes import home_of
from tests.running.jobs import SCHEMA, JobOverHttp, body, create, flat, problem
from tests.running.processes import Service, System, gateway
from tests.servers import wait_until

TOKENS = [
    {"token": "writer-of-a", "jobs": ["a-*"], "access": "write"},
    {"token": "reader-of-a", "jobs": ["a-*"], "access": "read"},
    {"sha256": hashlib.sha256(b"master").hexdigest().upper(), "jobs": ["*"], "access": "write"},
]


@pytest.fixture(scope="module")
def guarded(on_directory: System) -> Iterator[str]:
    """The URL of a second gateway, which asks for tokens."""
    env = {"FLSTORE_TOKENS": json.dumps(TOKENS), "FLSTORE_REFRESH_SECONDS": "0.1"}
    log = on_directory.folder / "guarded.log"
    with gateway(on_directory.placement, on_directory.store_url, log, env) as running:
        yield running.url
    assert "writer-of-a" not in log.read_text()


def bearing(url: str, token: str) -> httpx.Client:
    return httpx.Client(base_url=url, timeout=30.0, headers={"authorization": f"Bearer {token}"})


def test_tokens_reach_their_jobs_and_no_further(guarded: str) -> None:
    name = f"a-{uuid4().hex[:8]}"
    with bearing(guarded, "writer-of-a") as writer, bearing(guarded, "reader-of-a") as reader:
        job = create(writer, name)
        job.fill(0, 2)
        assert job.commit(0).status_code == 200
        mine = JobOverHttp(reader, name)
        assert mine.run("cosine-similarity").status_code == 200
        assert reader.get(job.client_url(0, "c0")).status_code == 200
        problem(mine.put(1, "c", body(1)), 403, "forbidden")
        problem(mine.commit(1), 403, "forbidden")
        problem(reader.delete(job.url), 403, "forbidden")
        problem(reader.delete(f"{job.url}/clients/c0"), 403, "forbidden")
        problem(writer.put("/v1/jobs/b-1", json={"schema": SCHEMA}), 403, "forbidden")
        problem(writer.get("/v1/jobs/b-1"), 403, "forbidden")


@pytest.mark.parametrize(
    ("header", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=500-", 500, None),
        ("bytes=-7", -7, None),
        ("bytes=5-99999999", 5, None),
    ],
)
def test_ranges_are_served(job: JobOverHttp, header: str, start: int, stop: int | None) -> None:
    job.put(0, "c", body(1))
    answer = job.http.get(job.client_url(0, "c"), headers={"range": header})
    assert answer.status_code == 206
    assert answer.content == body(1)[start:stop]
    assert answer.headers["content-length"] == str(len(answer.content))
    first = start % len(body(1))
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(answer.content) - 1}/{len(body(1))}"


def test_long_work_is_started_once_for_an_idempotency_key(job: JobOverHttp) -> None:
    job.fill(0, 3)
    job.commit(0)
    headers = {"prefer": "respond-async", "idempotency-key": "mine"}
    path = f"{job.url}/workloads/aggregate"
    first = job.http.post(path, json={"round": 0}, headers=headers)
    assert first.status_code == 202
    assert first.headers["preference-applied"] == "respond-async"
    again = job.http.post(path, json={"round": 0}, headers=headers)
    assert again.headers["location"] == first.headers["location"]
    problem(job.http.post(path, json={"round": 0, "method": "median"}, headers=headers), 409, "conflict")
    done = finished(job.http, first.headers["location"])
    assert done["state"] == "succeeded"
    assert done["result"]["result"] == job.run("aggregate", round=0).json()["result"]


def test_an_erased_client_is_gone_from_everything(running: System, job: JobOverHttp) -> None:
    job.put_aggregate(0, body(50))
    job.commit(0)
    for number in (1, 2):
        job.fill(number, 3)
    job.commit(1)
    document = job.http.delete(f"{job.url}/clients/c1").json()
    assert (document["client"], document["rounds"]) == ("c1", [1, 2])
    keys = [info.key for info in running.store.list(f"jobs/{job.name}")]
    left = [key for key in keys if "/c1." in key or "/c1~" in key]
    assert left == [layout.member(home_of(running, job), 2, ClientId("c1"))], "a mark, as long as the round is open"
    assert list(json.loads(running.store.get(left[0]))) == ["removed"]
    tombstone = json.loads(running.store.get(document["tombstone"]))
    assert (tombstone["client"], tombstone["rounds"], tombstone["objects"]) == ("c1", [1, 2], document["objects"])
    assert tombstone["done_at"] >= tombstone["asked_at"]
    statistics = RoundStatistics.from_bytes(running.store.get(layout.statistics(home_of(running, job), 1)))
    assert statistics.members == ("c0", "c2")
    deltas = np.array([flat(seed) - flat(50) for seed in (1, 3)])
    np.testing.assert_allclose(statistics.gram, deltas @ deltas.T, rtol=1e-5, atol=1e-2)
    assert [m["client"] for m in job.http.get(f"{job.url}/rounds/1").json()["members"]] == ["c0", "c2"]
    assert job.http.get(job.client_url(1, "c0")).content == body(1, {"num_examples": 10})
    problem(job.http.get(job.client_url(1, "c1")), 404, "not-found")
    problem(job.run("reputation", client="c1"), 404, "not-found")
    problem(job.http.delete(f"{job.url}/clients/c1"), 404, "not-found")
    for number in (1, 2):
        answer = job.run("cosine-similarity", round=number).json()["result"]
        assert "c1" not in json.dumps(answer)
        assert len(answer["matrix"]) == 2
    assert [m["client"] for m in job.commit(2).json()["members"]] == ["c0", "c2"]


def test_a_deleted_job_may_come_back_as_another(running: System) -> None:
    job = create(running.http)
    job.fill(0, 2)
    job.commit(0)
    job.run("aggregate", round=0)
    assert running.http.delete(job.url).status_code == 204
    assert [info.key for info in running.store.list(f"jobs/{job.name}")] == [f"jobs/{job.name}/job.json"]
    problem(running.http.get(job.url), 404, "not-found")
    problem(running.http.get(f"{job.url}/rounds/0"), 404, "not-found")
    problem(job.run("cosine-similarity"), 404, "not-found")
    assert job.name not in running.http.get("/v1/jobs").text
    other = [{"name": "w", "dtype": "F32", "shape": [5, 1000]}]
    assert running.http.put(job.url, json={"schema": other, "slices": 3}).status_code == 201
    problem(job.put(0, "c0", body(1)), 422, "schema-mismatch")
    rows = np.random.default_rng(1).standard_normal((2, 5, 1000)).astype(np.float32)
    for index, row in enumerate(rows):
        assert job.put(0, f"c{index}", save({"w": row})).status_code == 201
    assert job.commit(0).status_code == 200
    first, second = rows.reshape(2, -1).astype(float)
    expected = first @ second / np.linalg.norm(first) / np.linalg.norm(second)
    matrix = job.run("cosine-similarity", round=0).json()["result"]["matrix"]
    assert matrix[0][1] == pytest.approx(expected, abs=1e-6)


def test_what_a_broken_off_deletion_left_is_no_part_of_a_new_job(running: System) -> None:
    job = create(running.http)
    job.fill(0, 1)
    job.commit(0)
    running.store.delete(f"jobs/{job.name}/job.json")
    wait_until(lambda: running.http.get(job.url).status_code == 404, "the job being missed")
    assert running.http.get("/v1/jobs").status_code == 200
    again = create(running.http, job.name)
    assert again.http.get(f"{again.url}/rounds").json()["rounds"] == []
    assert again.put(0, "c0", body(9)).status_code == 201


@pytest.fixture
def second(running: System) -> Iterator[httpx.Client]:
    """A second gateway over the same store and controller."""
    log = running.folder / "second.log"
    env = {**running.store_env, "FLSTORE_REFRESH_SECONDS": "0.3"}
    with ExitStack() as stack:
        other = stack.enter_context(gateway(running.placement, running.store_url, log, env))
        yield stack.enter_context(httpx.Client(base_url=other.url, timeout=30.0))


def test_two_gateways_see_each_others_work(running: System, second: httpx.Client) -> None:
    job = create(running.http)
    there = JobOverHttp(second, job.name)
    there.put(0, "a", body(1))
    job.put(0, "b", body(2))
    problem(there.put(0, "b", body(3)), 409, "conflict")
    assert [m["client"] for m in there.http.get(f"{job.url}/rounds/0").json()["members"]] == ["a", "b"]
    record = there.commit(0, metrics={"x": 1}).json()
    assert job.http.get(f"{job.url}/rounds/0").json() == record
    assert job.commit(0, metrics={"x": 1}).json() == record
    problem(job.put(0, "c", body(3)), 409, "round-committed")
    asked = {"round": 0}
    mine, theirs = (each.run("cosine-similarity", **asked).json()["result"] for each in (job, there))
    assert mine == theirs
    there.fill(1, 2)
    there.commit(1)
    wait_until(lambda: job.http.get(job.url).json()["latest"] == 1, "the other gateway's round being seen")
    wait_until(lambda: job.run("cosine-similarity").json()["rounds"] == [1], "the newest round being the default")


def test_what_one_gateway_erases_or_deletes_another_stops_telling(running: System, second: httpx.Client) -> None:
    job = create(running.http)
    there = JobOverHttp(second, job.name)
    job.fill(0, 3)
    job.commit(0)
    assert '"c1"' in there.run("cosine-similarity", round=0).text
    assert job.http.delete(f"{job.url}/clients/c1").status_code == 200
    wait_until(lambda: '"c1"' not in there.run("cosine-similarity", round=0).text, "the erasure being noticed")
    assert '"c1"' not in there.http.get(f"{job.url}/rounds/0").text
    problem(there.run("reputation", client="c1"), 404, "not-found")
    assert job.http.delete(job.url).status_code == 204
    wait_until(lambda: there.run("cosine-similarity", round=0).status_code == 404, "the deletion being noticed")
    create(running.http, job.name)
    wait_until(lambda: there.http.get(job.url).status_code == 200, "the new job being seen")
    assert there.http.get(f"{job.url}/rounds").json()["rounds"] == []


def test_a_request_id_is_echoed_and_reaches_the_shards(running: System, job: JobOverHttp) -> None:
    job.fill(0, 2)
    job.commit(0)
    given = f"trace-{uuid4().hex}"
    answer = job.http.post(f"{job.url}/workloads/aggregate", json={"round": 0}, headers={"x-request-id": given})
    assert answer.headers["x-request-id"] == given
    wait_until(lambda: logged(running.gateway, given, "/workloads/aggregate"), "the gateway's log line")
    wait_until(lambda: logged(running.placement, given, "/v1/map"), "the shard's log line")
    hostile = job.http.get(job.url, headers={"x-request-id": "a b<script>"})
    assert hostile.headers["x-request-id"] not in ("", "a b<script>")


def test_caches_are_told_without_waking_a_shard(on_directory: System) -> None:
    create(on_directory.http).fill(0, 1)
    starts = {shard["shard"]: shard["starts"] for shard in on_directory.shards()}
    document = on_directory.http.get("/v1/cache").json()
    assert {shard["shard"] for shard in document["shards"]} == starts.keys()
    for shard in document["shards"]:
        assert ("inventory" in shard) == (shard["state"] == "awake")
    assert {shard["shard"]: shard["starts"] for shard in on_directory.shards()} == starts


def finished(http: httpx.Client, path: str) -> dict[str, Any]:
    operation: dict[str, Any] = {}

    def is_done() -> bool:
        operation.update(http.get(path).json())
        return str(operation["state"]) != "running"

    wait_until(is_done, f"{path} being done")
    return operation


def logged(service: Service, request_id: str, path: str) -> bool:
    lines = [json.loads(line) for line in service.log.read_text().splitlines() if line.startswith("{")]
    return any(line.get("request_id") == request_id and path in str(line.get("path")) for line in lines)
