"""Processes and stores that fail while a gateway is at work."""

import hashlib
import json
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import httpx
import numpy as np
import pytest
from safetensors.numpy import save

from tests.gateway.system.conftest import SETTINGS
from tests.running import raw
from tests.running.jobs import SCHEMA, JobOverHttp, body, create, problem
from tests.running.processes import System, gateway, system
from tests.servers import S3Server
from tests.storage.faults import FaultyProxy, faulty


class Lifeline:
    """A way to an S3 server that can be cut."""

    def __init__(self, server: S3Server, proxy: FaultyProxy) -> None:
        self.server = replace(server, endpoint=proxy.endpoint)
        self.cut = proxy.stop


@pytest.fixture
def cut_off(s3_server: S3Server, tmp_path: Path) -> Iterator[tuple[System, Lifeline]]:
    """A system whose store can be made unreachable."""
    with faulty(s3_server.endpoint) as proxy:
        lifeline = Lifeline(s3_server, proxy)
        env = {**lifeline.server.env, "FLSTORE_S3_GIVE_UP_S": "1"}
        with system(f"s3://trouble/{uuid4().hex}", tmp_path, env, SETTINGS) as running:
            yield running, lifeline


def test_without_the_store_writes_wait_and_what_is_hot_goes_on(cut_off: tuple[System, Lifeline]) -> None:
    running, lifeline = cut_off
    job = create(running.http)
    job.put_aggregate(0, body(50))
    job.commit(0)
    job.fill(1, 4)
    job.commit(1)
    before = job.run("cosine-similarity", round=1).json()["result"]
    lifeline.cut()
    for answer in [
        job.put(2, "c", body(9)),
        job.put(1, "c0", body(1, {"num_examples": 10})),
        job.put_aggregate(2, body(9)),
        job.commit(2),
        running.http.put("/v1/jobs/another", json={"schema": SCHEMA}),
        running.http.delete(f"{job.url}/clients/c0"),
        running.http.delete(job.url),
        running.http.get(job.client_url(1, "c0")),
    ]:
        document = problem(answer, 503, "store-unavailable")
        assert int(answer.headers["retry-after"]) >= 1
        assert "trouble" not in document["detail"] or "secret" not in document["detail"]
    for answer in [
        job.run("cosine-similarity", round=1),
        job.run("cosine-similarity"),
        job.run("malicious-filter", round=1),
        job.run("metrics"),
        job.http.get(job.url),
        job.http.get(f"{job.url}/rounds"),
        job.http.get(f"{job.url}/rounds/1"),
        job.http.get("/v1/placement"),
        job.http.get("/v1/cache"),
        job.http.get("/readyz"),
    ]:
        assert answer.status_code == 200, answer.text
    assert job.run("cosine-similarity", round=1).json()["result"] == before
    problem(job.run("aggregate", round=1), 503, "store-unavailable")  # there is nowhere to put the model


def test_a_killed_shard_is_replaced_and_the_request_answered(running: System) -> None:
    job = create(running.http, slices=2)
    job.fill(0, 4)
    job.commit(0)
    first = job.run("aggregate", round=0, method="median").json()
    awake = [shard for shard in running.shards() if shard["pid"]]
    assert len(awake) == 2
    for shard in awake:
        os.kill(shard["pid"], signal.SIGKILL)
    again = job.http.post(
        f"{job.url}/workloads/aggregate", json={"round": 0, "method": "median"}, headers={"cache-control": "no-cache"}
    )
    assert again.status_code == 200, again.text
    assert again.json()["result"] == first["result"]
    assert again.json()["execution"]["bytes_fetched"] > 0
    assert not {shard["pid"] for shard in awake} & {shard["pid"] for shard in running.shards()}


def test_shards_killed_all_the_while_fail_no_request(on_directory: System) -> None:
    job = create(on_directory.http, slices=2)
    job.fill(0, 3)
    job.commit(0)
    killed: list[int] = []
    enough, over = threading.Event(), threading.Event()

    def kill_now_and_then() -> None:
        while not over.wait(0.02):
            for shard in on_directory.shards():
                if shard["state"] == "awake" and shard["pid"] not in killed:
                    os.kill(shard["pid"], signal.SIGKILL)
                    killed.append(shard["pid"])
            if len(killed) >= 3:
                enough.set()
                return

    answers: list[httpx.Response] = []
    with ThreadPoolExecutor(1) as pool:
        killing = pool.submit(kill_now_and_then)
        try:
            while not enough.is_set() and len(answers) < 200:
                answers.append(
                    job.http.post(
                        f"{job.url}/workloads/aggregate", json={"round": 0}, headers={"cache-control": "no-cache"}
                    )
                )
        finally:
            over.set()
        killing.result()
    assert len(killed) >= 3
    assert {answer.status_code for answer in answers} == {200}
    assert len({json.dumps(answer.json()["result"]) for answer in answers}) == 1


def test_a_round_whose_shard_died_midway_has_its_statistics(running: System) -> None:
    job = create(running.http)
    job.fill(0, 3)
    for shard in running.shards():
        if shard["pid"]:
            os.kill(shard["pid"], signal.SIGKILL)
    job.put(0, "c3", body(4))
    assert job.commit(0).status_code == 200
    whole = create(running.http)
    whole.fill(0, 3)
    whole.put(0, "c3", body(4))
    whole.commit(0)
    mine, other = (each.run("cosine-similarity", round=0).json()["result"]["matrix"] for each in (job, whole))
    np.testing.assert_allclose(mine, other, atol=1e-7)


def test_a_gateway_killed_during_uploads_leaves_each_whole_or_absent(on_s3: System) -> None:
    job = create(on_s3.http)
    bodies = {f"c{index}": body(index) for index in range(12)}
    with gateway(on_s3.placement, on_s3.store_url, on_s3.folder / "doomed.log", on_s3.store_env) as doomed:
        acknowledged: set[str] = set()

        def put(client: str) -> None:
            try:
                answer = httpx.put(doomed.url + job.client_url(0, client), content=bodies[client], timeout=30.0)
            except httpx.TransportError:
                return
            if answer.status_code == 201:
                acknowledged.add(client)
                if len(acknowledged) == 3:
                    doomed.process.send_signal(signal.SIGKILL)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(put, bodies))
        assert doomed.process.wait(10) == -signal.SIGKILL
    members = {member["client"]: member for member in job.http.get(f"{job.url}/rounds/0").json()["members"]}
    assert acknowledged <= members.keys()
    assert len(acknowledged) < len(bodies)
    for client, content in bodies.items():
        answer_back = job.http.get(job.client_url(0, client))
        assert answer_back.status_code == (200 if client in members else 404)
        if client in members:
            assert answer_back.content == content
            assert members[client]["sha256"] == hashlib.sha256(content).hexdigest()
        assert job.put(0, client, content).status_code in (200, 201)
    assert len(job.commit(0).json()["members"]) == len(bodies)
    assert job.run("cosine-similarity", round=0).status_code == 200


def test_of_concurrent_uploads_of_one_name_exactly_one_wins(job: JobOverHttp) -> None:
    bodies = [body(seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda content: job.put(0, "c", content), bodies))
    statuses = [answer.status_code for answer in answers]
    assert sorted(statuses) == [201] + [409] * 7
    winner = bodies[statuses.index(201)]
    assert job.http.get(job.client_url(0, "c")).content == winner
    job.put(0, "d", body(99))
    (member, _) = job.commit(0).json()["members"]
    assert member["sha256"] == hashlib.sha256(winner).hexdigest()
    matrix = job.run("cosine-similarity", round=0).json()["result"]["matrix"]
    fresh = create(job.http)
    fresh.put(0, "c", winner)
    fresh.put(0, "d", body(99))
    fresh.commit(0)
    np.testing.assert_allclose(fresh.run("cosine-similarity").json()["result"]["matrix"], matrix, atol=1e-7)


def test_concurrent_uploads_of_the_same_bytes_all_succeed(job: JobOverHttp) -> None:
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: job.put(0, "c", body(1)), range(6)))
    assert {answer.status_code for answer in answers} <= {200, 201}
    assert sum(answer.json()["created"] for answer in answers) == 1


def test_uploads_that_race_a_commit_are_in_it_or_refused(job: JobOverHttp) -> None:
    for number in range(4):
        job.put(number, "early", body(1))
        with ThreadPoolExecutor(9) as pool:
            puts = [pool.submit(job.put, number, f"c{index}", body(10 + index)) for index in range(8)]
            committed = pool.submit(job.commit, number).result()
            answers = {f"c{index}": put.result() for index, put in enumerate(puts)}
        assert committed.status_code == 200
        members = {member["client"] for member in committed.json()["members"]}
        assert "early" in members
        for client, answer in answers.items():
            assert answer.status_code == (201 if client in members else 409), answer.text
            answer_back = job.http.get(job.client_url(number, client))
            assert answer_back.status_code == (200 if client in members else 404)
        answer = job.run("cosine-similarity", round=number)
        assert answer.status_code == 200, answer.text
        assert len(answer.json()["result"]["matrix"]) == len(members)


def test_an_upload_is_held_in_memory_once(on_directory: System) -> None:
    count = 25_000_000
    schema = [{"name": "a", "dtype": "F32", "shape": [count // 2]}, {"name": "b", "dtype": "F16", "shape": [count]}]
    content = save({"a": np.ones(count // 2, np.float32), "b": np.ones(count, np.float16)})
    env = {"FLSTORE_IN_FLIGHT_BYTES": "200MB", "MALLOC_ARENA_MAX": "2"}
    log = on_directory.folder / "big.log"
    with ExitStack() as stack:
        fresh = stack.enter_context(gateway(on_directory.placement, on_directory.store_url, log, env))
        http = stack.enter_context(httpx.Client(base_url=fresh.url, timeout=120.0))
        name = f"big-{uuid4().hex[:8]}"
        job = JobOverHttp(http, name)
        assert http.put(job.url, json={"schema": schema, "slices": 4, "statistics": "off"}).status_code == 201
        assert create(http).put(0, "warm", body(1)).status_code == 201
        before = fresh.rss
        assert job.put(0, "c", content).status_code == 201
        growth = fresh.peak_rss - before
        digest = hashlib.sha256()
        with http.stream("GET", job.client_url(0, "c")) as answer:
            for chunk in answer.iter_bytes():
                digest.update(chunk)
        assert digest.hexdigest() == hashlib.sha256(content).hexdigest()
        downloaded = fresh.peak_rss - before
        http.delete(job.url)
    assert growth < 1.3 * len(content)
    assert downloaded < 1.3 * len(content)


def test_a_client_that_stops_reading_or_writing_holds_nobody_up(on_directory: System, local_job: JobOverHttp) -> None:
    with raw.connected(on_directory.gateway.url) as stuck:
        stuck.sendall(raw.head("PUT", local_job.client_url(0, "stuck"), f"Content-Length: {len(body(1))}") + b"12345")
        local_job.fill(0, 3)
        assert [member["client"] for member in local_job.commit(0).json()["members"]] == ["c0", "c1", "c2"]
