"""Who may do what: every route asks for a token that reaches the job and allows the verb, before it does anything."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from typing import Any, ClassVar

import httpx
import pytest

from flstore_core.errors import FLStoreError, StoreUnavailable
from services.gateway.app import create_app
from services.gateway.routes import access
from services.gateway.threads import CALLER, Workers
from tests.fakes.store import Call
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import World, body, world
from tests.running.jobs import problem

TOKENS = [
    {"token": "writer-of-a", "jobs": ["a-*"], "access": "write"},
    {"token": "reader-of-a", "jobs": ["a-*"], "access": "read"},
    {"sha256": hashlib.sha256(b"master").hexdigest().upper(), "jobs": ["*"], "access": "write"},
]
SCHEMA = {"schema": [{"name": "w", "dtype": "F32", "shape": [4]}]}
READS = [
    "/v1/jobs/{job}",
    "/v1/jobs/{job}/rounds",
    "/v1/jobs/{job}/metadata",
    "/v1/jobs/{job}/rounds/0",
    "/v1/jobs/{job}/rounds/0/clients/c",
    "/v1/jobs/{job}/rounds/0/aggregate",
    "/v1/jobs/{job}/model",
    "/v1/jobs/{job}/datasets",
    "/v1/jobs/{job}/datasets/d",
    "/v1/jobs/{job}/artifacts/a",
    "/v1/cache/explain?key={job}/0/c",
]
WRITES = [
    ("PUT", "/v1/jobs/{job}"),
    ("DELETE", "/v1/jobs/{job}"),
    ("DELETE", "/v1/jobs/{job}/clients/c"),
    ("PUT", "/v1/jobs/{job}/rounds/0/clients/c"),
    ("PUT", "/v1/jobs/{job}/rounds/0/aggregate"),
    ("POST", "/v1/jobs/{job}/rounds/0/commit"),
    ("DELETE", "/v1/jobs/{job}/rounds/0/clients/c"),
    ("DELETE", "/v1/jobs/{job}/rounds/0/aggregate"),
    ("DELETE", "/v1/jobs/{job}/rounds/0"),
    ("PUT", "/v1/jobs/{job}/model"),
    ("DELETE", "/v1/jobs/{job}/model"),
    ("PUT", "/v1/jobs/{job}/datasets/d"),
    ("DELETE", "/v1/jobs/{job}/datasets/d"),
    ("DELETE", "/v1/jobs/{job}/artifacts/a"),
]


@pytest.fixture
def guarded() -> World:
    return world(tokens=json.dumps(TOKENS))


def bearing(gateway: World, token: str) -> httpx.AsyncClient:
    client = client_of(gateway)
    client.headers["authorization"] = token if " " in token else f"Bearer {token}"
    return client


async def send(client: httpx.AsyncClient, method: str, path: str) -> httpx.Response:
    """Send what the path takes: a job, a commit, or some file."""
    if path.endswith("/commit"):
        return await client.request(method, path, json={})
    if path.count("/") == 3:
        return await client.request(method, path, json=SCHEMA)
    return await client.request(method, path, content=body(1))


@pytest.mark.parametrize("path", READS)
async def test_reading_takes_a_token_that_reaches_the_job(guarded: World, path: str) -> None:
    async with bearing(guarded, "reader-of-a") as reader:
        problem(await reader.get(path.format(job="b-1")), 403, "forbidden")
        problem(await reader.get(path.format(job="a-1")), 404, "not-found")
    async with bearing(guarded, "master") as master:
        problem(await master.get(path.format(job="b-1")), 404, "not-found")


@pytest.mark.parametrize(("method", "path"), WRITES)
async def test_writing_takes_a_token_that_may_write(guarded: World, method: str, path: str) -> None:
    async with bearing(guarded, "reader-of-a") as reader, bearing(guarded, "writer-of-a") as writer:
        refused = await send(reader, method, path.format(job="a-1"))
        assert problem(refused, 403, "forbidden")["detail"] == "this token may read, not write"
        refused = await send(writer, method, path.format(job="b-1"))
        assert problem(refused, 403, "forbidden")["detail"] == "this token does not reach job 'b-1'"
        assert guarded.store.contents == {}
        allowed = await send(writer, method, path.format(job="a-1"))
        assert allowed.status_code == (201 if (method, path) == WRITES[0] else 404), allowed.text


async def test_running_a_workload_takes_a_token_that_may_read(guarded: World) -> None:
    async with bearing(guarded, "reader-of-a") as reader:
        problem(await reader.post("/v1/jobs/a-1/workloads/metrics"), 404, "not-found")
        problem(await reader.post("/v1/jobs/b-1/workloads/metrics"), 403, "forbidden")


@pytest.mark.parametrize("header", ["", "Bearer wrong", "Basic master", "master ", "Bearer"])
async def test_without_an_accepted_token_every_route_answers_401(guarded: World, header: str) -> None:
    async with client_of(guarded) as client:
        headers = {"authorization": header} if header else {}
        paths = [path.format(job="a-1") for path in READS]
        for path in [*paths, "/v1/jobs", "/v1/workloads", "/v1/placement", "/v1/cache", "/v1/operations/x"]:
            answer = await client.get(path, headers=headers)
            assert "Authorization: Bearer <token>" in problem(answer, 401, "unauthorized")["detail"]
            assert answer.headers["www-authenticate"] == "Bearer"
        problem(await client.get("/metrics", headers=headers), 401, "unauthorized")
        for path in ("/healthz", "/readyz"):
            assert (await client.get(path, headers=headers)).status_code == 200


async def test_lists_show_only_the_jobs_that_a_token_reaches(guarded: World) -> None:
    async with bearing(guarded, "master") as master, bearing(guarded, "reader-of-a") as reader:
        for job in ("a-1", "b-1"):
            assert (await master.put(f"/v1/jobs/{job}", json=SCHEMA)).status_code == 201
        assert [row["job"] for row in (await master.get("/v1/jobs")).json()["jobs"]] == ["a-1", "b-1"]
        assert [row["job"] for row in (await reader.get("/v1/jobs")).json()["jobs"]] == ["a-1"]
        assert list((await reader.get("/v1/placement")).json()["jobs"]) == ["a-1"]
        assert list((await master.get("/v1/placement")).json()["jobs"]) == ["a-1", "b-1"]


async def test_nearest_names_are_of_jobs_that_the_token_reaches(guarded: World) -> None:
    async with bearing(guarded, "master") as master, bearing(guarded, "reader-of-a") as reader:
        for job in ("a-job", "b-job"):
            assert (await master.put(f"/v1/jobs/{job}", json=SCHEMA)).status_code == 201
        seen = problem(await reader.get("/v1/jobs/a-jobs"), 404, "not-found")
        assert seen["nearest"] == ["a-job"]
        assert seen["detail"] == "job 'a-jobs' does not exist; nearest: a-job"
        assert problem(await master.get("/v1/jobs/a-jobs"), 404, "not-found")["nearest"] == ["a-job", "b-job"]
        started = await reader.post("/v1/jobs/a-jobs/workloads/metrics", headers={"prefer": "respond-async"})
        assert "b-job" not in started.text


async def test_a_store_that_is_away_is_told_where_the_nearest_names_would_be(guarded: World) -> None:
    def list_nothing(call: Call) -> None:
        if call.method == "folders":
            raise StoreUnavailable("the store is away")

    guarded.store.before = list_nothing
    async with bearing(guarded, "master") as master:
        problem(await master.get("/v1/jobs/a-job"), 503, "store-unavailable")


async def test_metrics_name_jobs_to_those_who_may_read_them_all(guarded: World) -> None:
    async with bearing(guarded, "master") as master, bearing(guarded, "reader-of-a") as reader:
        assert (await master.get("/metrics")).status_code == 200
        problem(await reader.get("/metrics"), 403, "forbidden")


@pytest.mark.parametrize("headers", [{}, {"prefer": "respond-async"}])
async def test_a_workload_that_writes_a_model_takes_a_token_that_may_write(headers: dict[str, str]) -> None:
    """And one that does not write takes none; nor does an answer with a link to what is there."""
    tokens = [{"token": name, "access": name} for name in ("read", "write")]
    filled = world(tokens=json.dumps(tokens))
    filled.create()
    filled.fill(0, 2)
    filled.commit(0)

    def made() -> int:
        return sum("/artifacts/" in key for key in filled.store.contents)

    async def artifacts_after(token: str, workload: str) -> tuple[int, str]:
        async with bearing(filled, token) as client:
            answer = await client.post(f"/v1/jobs/job/workloads/{workload}", json={"round": 0}, headers=headers)
            if headers:
                answer = await client.get(answer.headers["location"])
                return made(), (answer.json()["problem"] or {}).get("code", "")
        return made(), answer.json().get("code", "")

    assert await artifacts_after("read", "aggregate") == (0, "forbidden")
    assert await artifacts_after("read", "cosine-similarity") == (0, "")
    assert await artifacts_after("write", "aggregate") == (1, "")


async def test_operations_are_visible_to_readers_of_their_job(guarded: World) -> None:
    async with bearing(guarded, "master") as master, bearing(guarded, "reader-of-a") as reader:
        await master.put("/v1/jobs/b-1", json=SCHEMA)
        started = await master.post("/v1/jobs/b-1/workloads/metrics", headers={"prefer": "respond-async"})
        location = started.headers["location"]
        problem(await reader.get(location), 403, "forbidden")
        problem(await reader.delete(location), 403, "forbidden")
        assert (await master.get(location)).status_code == 200


async def test_every_route_is_described_with_what_it_answers() -> None:
    described = create_app(world().state).openapi()
    operations = {
        (method, path): operation
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
        if path.startswith("/v1")
    }
    guarded_routes = {(method.lower(), path) for method, path in WRITES} | {("get", path) for path in READS}
    names = {("{round}", "0"), ("{client}", "c"), ("{dataset}", "d"), ("{artifact}", "a")}
    documented = set()
    for method, path in operations:
        for name, value in names:
            path = path.replace(name, value)
        documented.add((method, path))
    assert {(method, path.partition("?")[0]) for method, path in guarded_routes} <= documented, "no route is forgotten"
    for (method, path), operation in operations.items():
        assert operation.get("description"), (method, path)
        codes = operation["responses"].keys()
        assert {"400", "401", "403", "429", "500", "503"} <= codes, (method, path)
        if "{" in path and (method, path) != ("put", "/v1/jobs/{job}"):
            assert {"404", "422"} <= codes, (method, path)
        if method in ("put", "post"):
            assert {"409", "411", "413", "422"} <= codes, (method, path)
        for code, answer in operation["responses"].items():
            if int(code) > 400:
                assert "application/problem+json" in answer["content"], (method, path, code)
    documented_codes = {code for operation in operations.values() for code in operation["responses"]}
    assert {str(error.status) for error in every_error()} - {"412"} <= documented_codes


def every_error() -> list[type[FLStoreError]]:
    errors = [FLStoreError]
    for error in errors:
        errors += error.__subclasses__()
    return [error for error in errors if error.__module__.startswith("flstore_core")]


@pytest.mark.parametrize("path", ["/v1/jobs/job/workloads/norms", "/v1/jobs/job/rounds/0/commit"])
async def test_a_json_body_that_does_not_come_is_given_up(
    path: str, gateway: World, http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(access, "BODY_S", 0.0)
    gateway.create()

    async def stalled() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    headers = {"content-length": "2", "content-type": "application/json"}
    answer = await http.post(path, content=stalled(), headers=headers)
    assert answer.status_code == 408, answer.text
    assert answer.json()["code"] == "too-slow"


@pytest.mark.parametrize("path", ["/v1/jobs/job/workloads/norms", "/v1/jobs/job/rounds/0/commit"])
async def test_json_nested_without_end_is_refused(path: str, gateway: World, http: httpx.AsyncClient) -> None:
    gateway.create()
    nested = b'{"metrics": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    answer = await http.post(path, content=nested, headers={"content-type": "application/json"})
    assert 400 <= answer.status_code < 500, answer.text


class Listening(Workers):
    """Workers that note who waits for them."""

    callers: ClassVar[list[str]] = []

    async def run(self, function: Any, *args: Any, **kwargs: Any) -> Any:
        self.callers.append(CALLER.get())
        return await super().run(function, *args, **kwargs)


async def test_requests_wait_and_upload_in_the_name_of_their_token(guarded: World) -> None:
    guarded.state.workers = Listening(2)
    names = {}
    for token in ("master", "reader-of-a"):
        names[token] = guarded.state.tokens.caller(f"Bearer {token}")
        async with bearing(guarded, token) as http:
            Listening.callers.clear()
            await http.get("/v1/jobs/a-1")  # through a dependency
            await http.post("/v1/jobs/a-1/workloads/metrics")  # through a plain route
            assert set(Listening.callers) == {names[token]}
    assert len(set(names.values())) == 2
    guarded.state.workers.shut_down()
