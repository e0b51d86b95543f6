"""Workloads over HTTP: listed, run, answered from what the caller has, started as operations."""

from typing import Any

import httpx
import numpy as np
import pytest

from flstore_core.workloads import registry
from services.gateway.threads import Pools
from tests.fakes.executors import HeldExecutor, InlineExecutor
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import World, vector, world
from tests.running.jobs import problem

RUN = "/v1/jobs/job/workloads"


@pytest.fixture
def filled(gateway: World) -> World:
    """A job with one committed round of three clients."""
    gateway.create()
    gateway.fill(0, 3)
    gateway.commit(0)
    return gateway


async def test_every_workload_is_described(http: httpx.AsyncClient) -> None:
    rows = (await http.get("/v1/workloads")).json()["workloads"]
    assert [row["name"] for row in rows] == sorted(registry.load())
    for row in rows:
        assert row["pattern"] in ("P1", "P2", "P3", "P4")
        assert row["parameters"]["type"] == row["result"]["type"] == "object"


async def test_an_answer_says_what_it_took(http: httpx.AsyncClient, filled: World) -> None:
    answer = await http.post(f"{RUN}/cosine-similarity", json={"round": 0})
    document = answer.json()
    assert (document["job"], document["workload"], document["pattern"], document["rounds"]) == (
        "job",
        "cosine-similarity",
        "P2",
        [0],
    )
    rows = np.array([vector(seed) for seed in (1, 2, 3)])
    norms = np.linalg.norm(rows, axis=1)
    np.testing.assert_allclose(document["result"]["matrix"], rows @ rows.T / np.outer(norms, norms), atol=1e-6)
    execution = document["execution"]
    assert (execution["where"], execution["cached"], execution["shards"], execution["hits"]) == (
        "gateway",
        False,
        [],
        2,
    )
    assert execution["cost"]["dollars"] < execution["cost"]["objstore_dollars"]
    stages = [entry.partition(";dur=")[0] for entry in answer.headers["server-timing"].split(", ")]
    assert stages == list(execution["stages_ms"]) == ["select", "records", "combine"]


async def test_an_empty_body_means_the_defaults(http: httpx.AsyncClient, filled: World) -> None:
    answers = [await http.post(f"{RUN}/metrics", content=content) for content in (b"", b"{}")]
    assert answers[0].json()["result"] == answers[1].json()["result"]


async def test_a_caller_that_has_the_answer_gets_304(http: httpx.AsyncClient, filled: World) -> None:
    etag = (await http.post(f"{RUN}/metrics")).headers["etag"]
    answer = await http.post(f"{RUN}/metrics", headers={"if-none-match": etag})
    assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", etag)
    assert (await http.post(f"{RUN}/metrics", headers={"if-none-match": '"x"'})).status_code == 200


async def test_an_answer_over_an_open_round_has_no_etag(http: httpx.AsyncClient, filled: World) -> None:
    filled.fill(1, 2)
    assert "etag" not in (await http.post(f"{RUN}/cosine-similarity", json={"round": 1})).headers


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", "the body is not JSON"),
        (b"NaN", "the body is not JSON"),
        (b"[1]", "must be a JSON object of parameters"),
        (b'{"round": "x"}', "round: "),
        (b'{"ruond": 1}', "ruond: "),
    ],
)
async def test_parameters_that_do_not_fit_are_refused(
    http: httpx.AsyncClient, filled: World, content: bytes, message: str
) -> None:
    answer = await http.post(f"{RUN}/cosine-similarity", content=content)
    assert message in problem(answer, 422, "invalid-parameters")["detail"]


async def test_parameters_have_a_greatest_length(http: httpx.AsyncClient, filled: World) -> None:
    answer = await http.post(f"{RUN}/metrics", content=b'{"metrics": ["' + b"x" * 2**20 + b'"]}')
    problem(answer, 413, "too-large")


async def test_a_workload_or_job_that_does_not_exist(http: httpx.AsyncClient, filled: World) -> None:
    document = problem(await http.post(f"{RUN}/cosine-similarty"), 404, "not-found")
    assert document["nearest"][0] == "cosine-similarity"
    problem(await http.post("/v1/jobs/jub/workloads/metrics"), 404, "not-found")
    problem(await http.post("/v1/jobs/.x/workloads/metrics"), 422, "invalid-id")


async def test_runs_and_failures_are_counted(http: httpx.AsyncClient, filled: World) -> None:
    await http.post(f"{RUN}/metrics")
    await http.post(f"{RUN}/cosine-similarity", json={"round": 9})
    await http.post(f"{RUN}/nonsense")
    text = (await http.get("/metrics")).text
    assert 'flstore_workload_seconds_count{pattern="P4",where="gateway",workload="metrics"} 1.0' in text
    assert 'flstore_workload_errors_total{code="not-found",workload="cosine-similarity"} 1.0' in text
    assert 'flstore_workload_errors_total{code="not-found",workload="unknown"} 1.0' in text
    assert 'flstore_cost_dollars_total{kind="requests_at_objstore"}' in text


# Operations


def patient() -> tuple[World, HeldExecutor]:
    """Return a filled gateway whose operations are done when the test says so."""
    held, inline = HeldExecutor(), InlineExecutor()
    gateway = world(pools=Pools(inline, inline, inline, inline, held, inline))
    gateway.create()
    gateway.fill(0, 3)
    gateway.commit(0)
    return gateway, held


async def start(http: httpx.AsyncClient, workload: str = "aggregate", key: str = "", **params: Any) -> httpx.Response:
    headers = {"prefer": "respond-async", **({"idempotency-key": key} if key else {})}
    return await http.post(f"{RUN}/{workload}", json={"round": 0, **params}, headers=headers)


async def test_an_operation_is_started_asked_about_and_answered() -> None:
    gateway, held = patient()
    async with client_of(gateway) as http:
        started = await start(http)
        assert (started.status_code, started.headers["preference-applied"]) == (202, "respond-async")
        location = started.headers["location"]
        assert location == f"/v1/operations/{started.json()['id']}"
        assert (await http.get(location)).json() == started.json()
        held.run_all()
        done = (await http.get(location)).json()
        assert (done["state"], done["progress"]) == ("succeeded", 1.0)
        assert done["result"]["result"] == (await http.post(f"{RUN}/aggregate", json={"round": 0})).json()["result"]


async def test_an_idempotency_key_starts_no_second_operation() -> None:
    gateway, held = patient()
    async with client_of(gateway) as http:
        first = await start(http, key="mine")
        again = await start(http, key="mine")
        assert again.headers["location"] == first.headers["location"]
        assert len(held) == 1
        problem(await start(http, key="mine", method="median"), 409, "conflict")
        assert "257 characters" in problem(await start(http, key="k" * 257), 422, "invalid-parameters")["detail"]
        assert (await start(http, key="k" * 256)).status_code == 202


async def test_an_operation_is_given_up_on_request() -> None:
    gateway, held = patient()
    async with client_of(gateway) as http:
        location = (await start(http)).headers["location"]
        answer = await http.delete(location)
        assert (answer.status_code, answer.json()["state"]) == (202, "running")
        held.run_all()
        assert (await http.get(location)).json()["state"] == "cancelled"


async def test_an_operation_that_fails_carries_its_problem() -> None:
    gateway, held = patient()
    async with client_of(gateway) as http:
        location = (await start(http, "cosine-similarity", clients=["c9"])).headers["location"]
        held.run_all()
        done = (await http.get(location)).json()
        assert (done["state"], done["problem"]["code"], done["problem"]["status"]) == ("failed", "not-found", 404)


async def test_a_wrong_request_starts_no_operation() -> None:
    gateway, held = patient()
    async with client_of(gateway) as http:
        problem(await start(http, "nothing"), 404, "not-found")
        problem(await start(http, "metrics", x=1), 422, "invalid-parameters")
        answer = await http.post("/v1/jobs/jub/workloads/metrics", headers={"prefer": "respond-async"})
        problem(answer, 404, "not-found")
        problem(await http.get("/v1/operations/nothing"), 404, "not-found")
        problem(await http.delete("/v1/operations/.x"), 422, "invalid-id")
    assert len(held) == 0
