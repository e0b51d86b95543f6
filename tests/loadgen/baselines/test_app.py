"""A baseline over HTTP and a store in memory: FLStore's routes, as far as load uses them."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import httpx
import numpy as np
import pytest
import safetensors.numpy
from starlette.applications import Starlette

from flstore_core import layout
from flstore_core.cost.prices import AWS
from flstore_core.ids import ClientId, JobId
from flstore_core.workloads import registry
from loadgen.baselines.app import create_app
from loadgen.baselines.service import Service
from loadgen.baselines.sources import Direct
from tests.fakes.store import MemoryStore

SCHEMA = [{"name": "w", "dtype": "F32", "shape": [8]}]
MACHINE_HOUR = 3600.0
"""Dollars: one for each second, so that a bill can be checked."""


def model(seed: int) -> bytes:
    return safetensors.numpy.save({"w": np.random.default_rng(seed).standard_normal(8).astype(np.float32)})


class Baseline:
    """The application, called without a socket."""

    def __init__(self, app: Starlette, loop: asyncio.Runner) -> None:
        self._client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://baseline")
        self._loop = loop

    def request(self, method: str, path: str, **content: Any) -> httpx.Response:
        return self._loop.run(self._client.request(method, path, **content))

    get = partialmethod(request, "GET")
    put = partialmethod(request, "PUT")
    post = partialmethod(request, "POST")


@contextmanager
def baseline_over(app: Starlette) -> Iterator[Baseline]:
    """Run an application's lifespan for a block."""
    with asyncio.Runner() as loop:
        lifespan = app.router.lifespan_context(app)
        loop.run(lifespan.__aenter__())
        yield Baseline(app, loop)
        loop.run(lifespan.__aexit__(None, None, None))


@pytest.fixture
def store() -> MemoryStore:
    return MemoryStore()


@pytest.fixture
def baseline(store: MemoryStore) -> Iterator[Baseline]:
    with baseline_over(create_app(Service(store, Direct(store), MACHINE_HOUR), threads=2)) as client:
        yield client


@pytest.fixture
def round_0(baseline: Baseline) -> Baseline:
    """A baseline with a committed round of three clients and an aggregate."""
    assert baseline.put("/v1/jobs/j", json={"schema": SCHEMA}).status_code == 201
    for index in range(3):
        put(baseline, f"/v1/jobs/j/rounds/0/clients/c{index}", model(index), num_examples=index + 1)
    put(baseline, "/v1/jobs/j/rounds/0/aggregate", model(9))
    assert baseline.post("/v1/jobs/j/rounds/0/commit", json={"metrics": {"loss": 0.5}}).status_code == 200
    return baseline


def put(baseline: Baseline, path: str, body: bytes, **metrics: Any) -> Any:
    response = baseline.put(path, content=body, headers={"X-FLStore-Metrics": json.dumps(metrics)})
    assert response.status_code in (200, 201), response.text
    return response.json()


def test_a_job_is_created_once_and_read(baseline: Baseline) -> None:
    created = baseline.put("/v1/jobs/j", json={"schema": SCHEMA})
    assert (created.status_code, created.json()["parameters"], created.json()["nbytes"]) == (201, 8, 32)
    assert baseline.put("/v1/jobs/j", json={"schema": SCHEMA}).status_code == 200
    assert baseline.get("/v1/jobs/j").json()["schema"] == created.json()["schema"]
    other = baseline.put("/v1/jobs/j", json={"schema": [{"name": "v", "dtype": "F32", "shape": [8]}]})
    assert (other.status_code, other.json()["code"]) == (409, "conflict")
    assert other.headers["content-type"] == "application/problem+json"


def test_what_the_job_names_weighs_its_clients(baseline: Baseline) -> None:
    baseline.put("/v1/jobs/j", json={"schema": SCHEMA, "weight_key": "samples"})
    for index in range(2):
        put(baseline, f"/v1/jobs/j/rounds/0/clients/c{index}", model(index), samples=1 + 2 * index, num_examples=9)
    baseline.post("/v1/jobs/j/rounds/0/commit", json={})
    assert baseline.post("/v1/jobs/j/workloads/aggregate", json={}).json()["result"]["weights"] == [0.25, 0.75]


def test_an_update_is_stored_under_flstores_own_key_and_comes_back(round_0: Baseline, store: MemoryStore) -> None:
    key = layout.tensors(layout.home(JobId("j"), ""), 0, ClientId("c1"))
    assert store.contents[key] == model(1)
    assert round_0.get("/v1/jobs/j/rounds/0/clients/c1").content == model(1)
    assert round_0.get("/v1/jobs/j/rounds/0/aggregate").content == model(9)


def test_the_same_bytes_again_change_nothing_and_others_conflict(baseline: Baseline) -> None:
    baseline.put("/v1/jobs/j", json={"schema": SCHEMA})
    path = "/v1/jobs/j/rounds/0/clients/c1"
    assert put(baseline, path, model(1), loss=0.5)["created"]
    assert not put(baseline, path, model(1))["created"]
    other = baseline.put(path, content=model(2))
    assert (other.status_code, other.json()["detail"]) == (409, "round 0 has other bytes from 'c1'")


def test_a_commit_names_members_metrics_and_the_base(round_0: Baseline) -> None:
    put(round_0, "/v1/jobs/j/rounds/1/clients/c2", model(5))
    put(round_0, "/v1/jobs/j/rounds/1/clients/c0", model(6))
    record = round_0.post("/v1/jobs/j/rounds/1/commit", content=b"").json()
    assert (record["round"], record["base"], record["aggregate"]) == (1, 0, None)
    assert [member["client"] for member in record["members"]] == ["c0", "c2"]


def test_a_committed_round_takes_nothing_more(round_0: Baseline) -> None:
    late = round_0.put("/v1/jobs/j/rounds/0/clients/late", content=model(7))
    assert (late.status_code, late.json()["code"]) == (409, "round-committed")


def test_a_round_without_updates_cannot_be_committed(round_0: Baseline) -> None:
    empty = round_0.post("/v1/jobs/j/rounds/7/commit", content=b"{}")
    assert (empty.status_code, empty.json()["code"]) == (404, "not-found")


def test_a_workload_is_answered_priced_and_its_reads_are_counted(round_0: Baseline) -> None:
    answer = round_0.post("/v1/jobs/j/workloads/cosine-similarity", json={"round": 0}).json()
    vectors = np.array([safetensors.numpy.load(model(seed))["w"] for seed in range(3)], np.float64)
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    assert np.allclose(answer["result"]["matrix"], unit @ unit.T, atol=1e-6)
    execution = answer["execution"]
    assert (execution["where"], execution["hits"], execution["misses"]) == ("aggregator", 0, 4)
    assert execution["nbytes"] == 4 * 32
    seconds = execution["total_ms"] / 1e3
    assert execution["cost"]["dollars"] == pytest.approx(seconds + 4 * AWS.store_get.dollars, abs=2e-6)


def test_it_lists_what_flstore_lists(baseline: Baseline) -> None:
    listed = baseline.get("/v1/workloads").json()["workloads"]
    assert [each["name"] for each in listed] == sorted(registry.load())
    assert baseline.get("/v1/cache").json() == {"gateway": {}, "shards": []}
    assert baseline.get("/readyz").json() == baseline.get("/healthz").json() == {"status": "ok"}


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("GET", "/v1/jobs/unknown", b"", 404, "not-found"),
        ("PUT", "/v1/jobs/..bad", b"{}", 422, "invalid-id"),
        ("PUT", "/v1/jobs/j", b"not JSON", 422, "invalid-parameters"),
        ("PUT", "/v1/jobs/j", b"[]", 422, "invalid-parameters"),
        ("PUT", "/v1/jobs/j", b'{"updates": "delta"}', 422, "invalid-parameters"),
        ("POST", "/v1/jobs/j/workloads/no-such-thing", b"{}", 404, "not-found"),
        ("POST", "/v1/jobs/j/workloads/evaluate", b'{"dataset": "test"}', 501, "no-predictor"),
        ("GET", "/v1/jobs/j/rounds/5/aggregate", b"", 404, "not-found"),
    ],
)
def test_what_goes_wrong_is_a_problem(
    round_0: Baseline, method: str, path: str, body: bytes, status: int, code: str
) -> None:
    response = round_0.request(method, path, content=body)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text


async def chunked() -> AsyncIterator[bytes]:
    yield model(1)


def test_a_body_of_unknown_length_is_refused(round_0: Baseline) -> None:
    response = round_0.put("/v1/jobs/j/rounds/1/clients/c1", content=chunked())
    assert (response.status_code, response.json()["code"]) == (411, "length-required")


def test_a_restarted_baseline_knows_the_rounds_that_the_store_has(round_0: Baseline, store: MemoryStore) -> None:
    with baseline_over(create_app(Service(store, Direct(store), MACHINE_HOUR), threads=1)) as again:
        answer = again.post("/v1/jobs/j/workloads/metrics", json={}).json()
        assert [group["key"] for group in answer["result"]["groups"]]
        put(again, "/v1/jobs/j/rounds/1/clients/c0", model(3))
        assert again.post("/v1/jobs/j/rounds/1/commit", content=b"").json()["base"] == 0
