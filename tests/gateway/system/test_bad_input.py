"""What no client library would send, and sizes and names that must not get through, in running services."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from urllib.parse import quote

import httpx
import pytest

from flstore_core import layout
from tests.running import raw
from tests.running.homes import home_of
from tests.running.jobs import SCHEMA, JobOverHttp, body, create, problem
from tests.running.processes import System, gateway
from tests.servers import wait_until

GOOD = body(1)


def test_a_body_that_breaks_off_leaves_nothing(on_directory: System, local_job: JobOverHttp) -> None:
    with raw.connected(on_directory.gateway.url) as connection:
        path = local_job.client_url(0, "c")
        connection.sendall(raw.head("PUT", path, f"Content-Length: {len(GOOD)}") + GOOD[: len(GOOD) // 2])
        wait_until(lambda: in_flight(on_directory.http) == len(GOOD), "the upload being under way")
    wait_until(lambda: in_flight(on_directory.http) == 0, "the upload being given up")
    assert nothing_but_the_job(on_directory, local_job)
    assert local_job.put(0, "c", GOOD).status_code == 201


def test_what_follows_a_body_is_no_part_of_it(on_directory: System, local_job: JobOverHttp) -> None:
    with raw.connected(on_directory.gateway.url) as connection:
        path = local_job.client_url(0, "c")
        connection.sendall(raw.head("PUT", path, f"Content-Length: {len(GOOD)}") + GOOD + b"\0more\r\n\r\n")
        assert raw.answer(connection)[0] in (201, 400)
    with raw.connected(on_directory.gateway.url) as connection:
        path = local_job.client_url(0, "short")
        connection.sendall(raw.head("PUT", path, f"Content-Length: {len(GOOD) - 8}") + GOOD)
        assert raw.answer(connection)[0] in (400, 422)
    keys = [info.key for info in on_directory.store.list(layout.rounds_prefix(home_of(on_directory, local_job)))]
    assert not [key for key in keys if "short" in key]
    if local_job.http.get(local_job.client_url(0, "c")).status_code == 200:
        assert local_job.http.get(local_job.client_url(0, "c")).content == GOOD


@pytest.mark.parametrize("framing", [[], ["Transfer-Encoding: chunked"]])
def test_a_body_of_unknown_length_is_refused(on_directory: System, local_job: JobOverHttp, framing: list[str]) -> None:
    for method, path in [
        ("PUT", local_job.client_url(0, "c")),
        *([("PUT", f"{local_job.url}-2"), ("POST", f"{local_job.url}/workloads/metrics")] if framing else []),
    ]:
        with raw.connected(on_directory.gateway.url) as connection:
            connection.sendall(raw.head(method, path, *framing, "Connection: close"))
            if framing:
                connection.sendall(b"2\r\n{}\r\n0\r\n\r\n")
            status, content = raw.answer(connection)
        assert (status, json.loads(content)["code"]) == (411, "length-required")


@pytest.fixture(scope="module")
def strict(on_directory: System) -> Iterator[httpx.Client]:
    """A second gateway with little room: 1 MB an upload, 1.5 MB in flight."""
    with _another(on_directory, {"FLSTORE_UPLOAD_LIMIT": "1MB", "FLSTORE_IN_FLIGHT_BYTES": "1.5MB"}) as client:
        yield client


@contextmanager
def _another(system: System, env: dict[str, str]) -> Iterator[httpx.Client]:
    log = system.folder / "another.log"
    with ExitStack() as stack:
        running = stack.enter_context(gateway(system.placement, system.store_url, log, env))
        yield stack.enter_context(httpx.Client(base_url=running.url, timeout=30.0))


def test_over_the_size_limit_is_refused_before_it_is_read(strict: httpx.Client) -> None:
    job = create(strict)
    with raw.connected(str(strict.base_url)) as connection:
        connection.sendall(raw.head("PUT", job.client_url(0, "c"), "Content-Length: 1000001"))
        status, content = raw.answer(connection)
    assert status == 413
    assert "1000001 bytes; at most 1000000" in json.loads(content)["detail"]
    with raw.connected(str(strict.base_url)) as connection:
        connection.sendall(raw.head("PUT", f"/v1/jobs/{job.name}", "Content-Length: 99000000"))
        assert raw.answer(connection)[0] == 413


def test_a_body_that_does_not_come_is_given_up(on_directory: System) -> None:
    with _another(on_directory, {"FLSTORE_UPLOAD_PATIENCE_SECONDS": "1.5"}) as impatient:
        path, size = create(impatient).client_url(0, "slow"), 100_000_000
        with raw.connected(str(impatient.base_url)) as connection:
            connection.sendall(raw.head("PUT", path, f"Content-Length: {size}") + b"x")
            wait_until(lambda: 0 < in_flight(impatient) < size, "the bytes that came being counted")
            status, content = raw.answer(connection)
            assert (status, json.loads(content)["code"]) == (408, "too-slow")
            assert f"1 of the body's {size} bytes" in json.loads(content)["detail"]
            assert connection.recv(1) == b""
        assert in_flight(impatient) == 0


def test_more_in_flight_than_there_is_room_for_is_told_to_come_back(strict: httpx.Client) -> None:
    job = create(strict)
    with raw.connected(str(strict.base_url)) as first:
        first.sendall(raw.head("PUT", job.client_url(0, "a"), "Content-Length: 1000000") + b"x")
        wait_until(lambda: in_flight(strict) == 1_000_000, "the first upload being under way")
        with raw.connected(str(strict.base_url)) as second:
            second.sendall(raw.head("PUT", job.client_url(0, "b"), "Content-Length: 600000"))
            status, content = raw.answer(second)
        assert (status, json.loads(content)["code"]) == (429, "busy")
        refused = strict.put(job.client_url(0, "b"), content=bytes(600_000))
        problem(refused, 429, "busy")
        assert int(refused.headers["retry-after"]) >= 1
        assert job.put(0, "c", GOOD).status_code == 201
    wait_until(lambda: in_flight(strict) == 0, "the first upload being given up")
    assert job.put(0, "b", body(2)).status_code == 201


@pytest.mark.parametrize("shape", [[10**9, 10], [2**40, 2**3]])
def test_what_no_shard_can_hold_is_told_with_the_numbers(running: System, shape: list[int]) -> None:
    name = f"giant-{shape[0]}-{running.store_url[:2].strip('/')}"
    document = problem(
        running.http.put(f"/v1/jobs/{name}", json={"schema": [{"name": "w", "dtype": "F32", "shape": shape}]}),
        507,
        "insufficient-capacity",
    )
    assert document["update_bytes"] == 4 * shape[0] * shape[1]
    assert document["largest_shard_bytes"] == 64 * 2**20
    problem(running.http.get(f"/v1/jobs/{name}"), 404, "not-found")
    assert [info.key for info in running.store.list(f"jobs/{name}")] == [f"jobs/{name}/job.json"]
    assert name not in running.http.get("/v1/placement").json()["jobs"]
    assert create(running.http, name).name == name


HOSTILE = [
    "../x",
    "..",
    "%2e%2e%2fx",
    "a/b",
    "a b",
    "a\0b",
    "a\nb",
    "ä",
    "x" * 129,
    "x" * 300,
    ".hidden",
    "-x",
    "a%00",
    "*",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused_and_touch_nothing(on_directory: System, local_job: JobOverHttp, name: str) -> None:
    before = sorted(info.key for info in on_directory.store.list())
    http, path = on_directory.http, quote(name, safe="").replace(".", "%2E")
    answers = [
        http.put(f"/v1/jobs/{path}", json={"schema": SCHEMA}),
        http.delete(f"/v1/jobs/{path}"),
        http.put(f"{local_job.url}/rounds/0/clients/{path}", content=GOOD),
        http.get(f"{local_job.url}/rounds/0/clients/{path}"),
        http.delete(f"{local_job.url}/clients/{path}"),
        http.get(f"{local_job.url}/artifacts/{path}"),
        http.get(f"/v1/operations/{path}"),
    ]
    for answer in answers:
        assert answer.status_code in (404, 405, 422), answer.text
        assert answer.headers["content-type"] == "application/problem+json"
    assert sorted(info.key for info in on_directory.store.list()) == before


def test_what_is_unknown_is_told_with_the_nearest_names(job: JobOverHttp) -> None:
    job.put(1, "client-7", GOOD)
    job.commit(1)
    near = job.name[:-1] + ("0" if job.name[-1] != "0" else "1")
    assert job.name in problem(job.http.get(f"/v1/jobs/{near}"), 404, "not-found")["nearest"]
    problem(job.http.put(f"/v1/jobs/{near}/rounds/0/clients/c", content=GOOD), 404, "not-found")
    problem(job.http.delete(f"/v1/jobs/{near}"), 404, "not-found")
    assert problem(job.http.get(f"{job.url}/rounds/11"), 404, "not-found")["nearest"] == ["1"]
    document = problem(job.http.get(job.client_url(1, "client-8")), 404, "not-found")
    assert document["nearest"] == ["client-7"]
    problem(job.http.get(f"{job.url}/rounds/1/aggregate"), 404, "not-found")
    assert problem(job.run("cosine-similarty"), 404, "not-found")["nearest"][0] == "cosine-similarity"
    problem(job.run("cosine-similarity", round=2), 404, "not-found")
    document = problem(job.run("cosine-similarity", round=1, clients=["client-6"]), 404, "not-found")
    assert document["nearest"] == ["client-7"]
    assert problem(job.run("reputation", client="client-9"), 404, "not-found")["nearest"] == ["client-7"]
    problem(job.http.delete(f"{job.url}/clients/client-9"), 404, "not-found")
    problem(job.http.get(f"{job.url}/artifacts/abc"), 404, "not-found")
    problem(job.http.get("/v1/operations/abc"), 404, "not-found")


def in_flight(http: httpx.Client) -> float:
    lines = http.get("/metrics").text.splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith("flstore_in_flight_bytes ")))


def nothing_but_the_job(running: System, job: JobOverHttp) -> bool:
    return [info.key for info in running.store.list(f"jobs/{job.name}")] == [f"jobs/{job.name}/job.json"]
