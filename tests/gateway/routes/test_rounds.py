"""Updates, aggregates and commits over HTTP: what is stored, what comes back, what is refused and why."""

import asyncio
import hashlib
import json
import struct
from base64 import b64encode
from collections.abc import AsyncIterable, AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from safetensors.numpy import load, save

from flstore_core import layout
from flstore_core.errors import StoreUnavailable
from flstore_core.ids import encode
from tests.fakes.store import Call
from tests.gateway.routes.conftest import client_of
from tests.gateway.world import HOME, NAME, TENSORS, World, body, world
from tests.running.jobs import problem

ROUND = "/v1/jobs/job/rounds/0"
GOOD = body(1)


@pytest.fixture
def job(gateway: World) -> World:
    """A job that exists, and nothing in it."""
    gateway.create()
    return gateway


async def put(
    http: httpx.AsyncClient, client: str = "c", content: bytes = GOOD, headers: dict[str, str] | None = None
) -> httpx.Response:
    return await http.put(f"{ROUND}/clients/{client}", content=content, headers=headers)


async def test_an_update_comes_back_as_it_was_sent(http: httpx.AsyncClient, job: World) -> None:
    answer = await put(http)
    sha256 = hashlib.sha256(body(1)).hexdigest()
    assert answer.status_code == 201
    assert answer.json() == {
        "job": "job",
        "round": 0,
        "client": "c",
        "sha256": sha256,
        "nbytes": len(body(1)),
        "parameters": 6,
        "created": True,
        "rewritten": False,
        "received_sha256": sha256,
    }
    again = await put(http)
    assert (again.status_code, again.json()) == (200, {**answer.json(), "created": False})
    document = problem(await put(http, content=body(2)), 409, "conflict")
    assert "has different bytes from 'c'" in document["detail"]
    back = await http.get(f"{ROUND}/clients/c")
    assert (back.content, back.headers["etag"]) == (body(1), f'"{sha256}"')
    assert back.headers["content-length"] == str(len(body(1)))
    assert back.headers["accept-ranges"] == "bytes"


async def test_metrics_come_in_the_file_or_in_a_header_which_wins(http: httpx.AsyncClient, job: World) -> None:
    inside = {"metrics": json.dumps({"loss": 1.0, "device": "phone"})}
    await put(http, content=body(1, inside), headers={"X-FLStore-Metrics": '{"loss": 0.25}'})
    (member,) = (await http.get(ROUND)).json()["members"]
    assert member["metrics"] == {"loss": 0.25, "device": "phone"}


async def test_metrics_in_a_header_are_utf_8_as_curl_sends_them(http: httpx.AsyncClient, job: World) -> None:
    text = json.dumps({"site": "Köln 医院", "escaped": "Ü"}, ensure_ascii=False).replace("Ü", r"\u00dc")
    raw = [(b"X-FLStore-Metrics", text.encode())]
    assert (await http.put(f"{ROUND}/clients/c", content=GOOD, headers=raw)).status_code == 201
    (member,) = (await http.get(ROUND)).json()["members"]
    assert member["metrics"] == {"site": "Köln 医院", "escaped": "Ü"}
    latin = [(b"X-FLStore-Metrics", '{"site": "Köln"}'.encode("latin-1"))]
    answer = await http.put(f"{ROUND}/clients/d", content=GOOD, headers=latin)
    assert "X-FLStore-Metrics is not UTF-8" in problem(answer, 422, "invalid-parameters")["detail"]


def stating(content: bytes) -> dict[str, str]:
    return {"Content-Digest": f"sha-256=:{b64encode(hashlib.sha256(content).digest()).decode()}:"}


@pytest.mark.parametrize("path", [f"{ROUND}/clients/c", f"{ROUND}/aggregate", "/v1/jobs/job/datasets/d"])
async def test_a_body_that_is_not_the_one_it_is_said_to_be_is_refused_before_anything_is_stored(
    http: httpx.AsyncClient, job: World, path: str
) -> None:
    before = dict(job.store.contents)
    content = save({"inputs": np.zeros((1, 2))}) if path.endswith("d") else GOOD
    damaged = content[:-1] + bytes([content[-1] ^ 1])
    answer = await http.put(path, content=damaged, headers=stating(content))
    document = problem(answer, 422, "digest-mismatch")
    assert hashlib.sha256(damaged).hexdigest() in document["detail"]
    assert hashlib.sha256(content).hexdigest() in document["detail"]
    assert job.store.contents == before
    assert (await http.put(path, content=content, headers=stating(content))).status_code == 201


@pytest.mark.parametrize(
    "header",
    [
        {},
        {"Content-Digest": "sha-512=:AAAA:"},
        {"Content-Digest": "md5=:x:, " + stating(GOOD)["Content-Digest"] + ";q=1, unixsum=3"},
    ],
)
async def test_no_digest_or_one_beside_others_of_no_matter_is_fine(
    http: httpx.AsyncClient, job: World, header: dict[str, str]
) -> None:
    assert (await put(http, headers=header)).status_code == 201


@pytest.mark.parametrize("value", ["sha-256=x", "sha-256=:AAAA:", "sha-256=::", "sha-256=" + 43 * "A" + "="])
async def test_a_digest_that_cannot_be_one_is_refused(http: httpx.AsyncClient, job: World, value: str) -> None:
    document = problem(await put(http, headers={"Content-Digest": value}), 422, "invalid-parameters")
    assert "write sha-256=:BASE64:" in document["detail"]


async def test_the_same_bytes_with_other_metrics_are_no_repetition(http: httpx.AsyncClient, job: World) -> None:
    """Somebody forgot the header the first time: to be told 200 would lose the metrics in silence."""
    assert (await put(http)).status_code == 201
    metrics = {"X-FLStore-Metrics": '{"num_examples": 500, "loss": 0.1}'}
    for _ in ("while the round is open", "after its commit"):
        document = problem(await put(http, headers=metrics), 409, "conflict")
        assert "these bytes with other metrics" in document["detail"]
        assert "num_examples is 500, stored: none" in document["detail"]
        assert document["metrics"] == ["loss", "num_examples"]
        assert (await put(http)).status_code == 200
        await http.post(f"{ROUND}/commit")
    (member,) = (await http.get(ROUND)).json()["members"]
    assert member["metrics"] == {}


async def test_metrics_in_the_file_that_differ_are_named_too(http: httpx.AsyncClient, job: World) -> None:
    first, second = (body(1, {"metrics": json.dumps({"loss": loss})}) for loss in (0.5, 0.25))
    await put(http, content=first)
    document = problem(await put(http, content=second), 409, "conflict")
    assert "different bytes from 'c'; loss is 0.25, stored: 0.5" in document["detail"]


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        ('{"a": 1, "b": [1, {"c": null}]}', '{"b": [1.0, {"c": null}], "a": 1.0}', True),
        ('{"a": 1}', '{"a": true}', False),
        ('{"a": [1]}', '{"a": [1, 2]}', False),
        ('{"a": {"b": 1}}', '{"a": {"c": 1}}', False),
        ('{"a": null}', "{}", False),
    ],
)
async def test_metrics_are_compared_as_json(
    http: httpx.AsyncClient, job: World, first: str, second: str, same: bool
) -> None:
    await put(http, headers={"X-FLStore-Metrics": first})
    assert (await put(http, headers={"X-FLStore-Metrics": second})).status_code == (200 if same else 409)


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("x", "X-FLStore-Metrics is not JSON"),
        ("[1]", "X-FLStore-Metrics must be a JSON object"),
        ("[" * 100_000, "X-FLStore-Metrics is not JSON"),
        ('{"num_examples": -1}', "num_examples"),
        ('{"loss": NaN}', "not JSON"),
    ],
)
async def test_metrics_that_do_not_fit_are_refused(
    http: httpx.AsyncClient, job: World, metrics: str, message: str
) -> None:
    answer = await put(http, headers={"X-FLStore-Metrics": metrics})
    assert message in problem(answer, 422, "invalid-parameters")["detail"]
    assert layout.member(HOME, 0, "c") not in job.store.contents  # type: ignore[arg-type]


def changed(**arrays: Any) -> bytes:
    """Return an update with some tensors replaced, or left out where they are None."""
    tensors = {**load(GOOD), **arrays}
    return save({name: array for name, array in tensors.items() if array is not None})


def with_header(text: str) -> bytes:
    return struct.pack("<Q", len(text.encode())) + text.encode()


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


BAD_BODIES = {
    "empty": (b"", "invalid-tensors", "0 bytes"),
    "text": (b"hello, this is no tensor at all", "invalid-tensors", "not safetensors"),
    "huge header length": (struct.pack("<Q", 2**63) + b"{}", "invalid-tensors", "limit"),
    "header length beyond the body": (struct.pack("<Q", 5000) + b"{}", "invalid-tensors", "truncated"),
    "header is a list": (with_header("[1]"), "invalid-tensors", "not a JSON object"),
    "deep JSON": (with_header('{"a":' + "[" * 60_000 + "]" * 60_000 + "}"), "invalid-tensors", "JSON"),
    "half a surrogate pair": (with_header('{"\\ud800":[]}'), "invalid-tensors", "JSON"),
    "doubled key": (with_header('{"a":1,"a":2}'), "invalid-tensors", "distinct keys"),
    "cut short": (GOOD[:-3], "invalid-tensors", "bytes, but the body has"),
    "too long": (GOOD + b"\0", "invalid-tensors", "bytes, but the body has"),
    "header longer than the schema needs": (with_header("{" + " " * 2**21 + "}"), "invalid-tensors", "limit"),
    "missing tensor": (changed(bias=None), "schema-mismatch", "'bias' is missing"),
    "extra tensor": (changed(more=floats(0.0)), "schema-mismatch", "'more' is not in the schema"),
    "wrong shape": (changed(bias=floats(1, 2, 3)), "schema-mismatch", "'bias' is F32 [3]; the schema expects F32 [2]"),
    "wrong dtype": (
        changed(bias=np.zeros(2, np.float16)),
        "schema-mismatch",
        "'bias' is F16 [2]; the schema expects F32 [2]",
    ),
    "NaN": (changed(bias=floats(0, np.nan)), "invalid-tensors", "'bias' has a NaN"),
    "infinity": (changed(bias=floats(-np.inf, 0)), "invalid-tensors", "'bias' has a NaN, an infinity"),
}


@pytest.mark.parametrize("name", BAD_BODIES)
async def test_a_bad_body_is_refused_and_not_stored(http: httpx.AsyncClient, job: World, name: str) -> None:
    content, code, message = BAD_BODIES[name]
    assert message in problem(await put(http, content=content), 422, code)["detail"]
    assert list(job.store.contents) == [layout.job(NAME)]


async def test_the_largest_finite_number_is_no_infinity(http: httpx.AsyncClient, job: World) -> None:
    largest = float(np.finfo(np.float32).max)
    content = changed(bias=floats(largest, -largest))
    assert (await put(http, content=content)).status_code == 201


async def test_an_aggregate_is_the_next_round_s_base(http: httpx.AsyncClient, job: World) -> None:
    assert (await http.put(f"{ROUND}/aggregate", content=body(3))).status_code == 201
    assert (await http.get(f"{ROUND}/aggregate")).content == body(3)
    assert (await http.post(f"{ROUND}/commit")).status_code == 200
    await http.put("/v1/jobs/job/rounds/1/clients/c", content=body(1))
    assert (await http.get("/v1/jobs/job/rounds/1")).json()["base"] == 0


async def test_a_commit_is_final_and_answered_alike_again(http: httpx.AsyncClient, job: World) -> None:
    await put(http)
    request = {"metrics": {"accuracy": 0.5}, "hyperparameters": {"lr": 0.1}, "participants": ["c"]}
    answer = await http.post(f"{ROUND}/commit", json=request)
    assert answer.status_code == 200
    record = answer.json()
    assert (record["metrics"], record["hyperparameters"]) == ({"accuracy": 0.5}, {"lr": 0.1})
    assert [member["client"] for member in record["members"]] == ["c"]
    assert (await http.post(f"{ROUND}/commit", json=request)).json() == record
    problem(await http.post(f"{ROUND}/commit", json={}), 409, "conflict")
    problem(await put(http, "d", body(2)), 409, "round-committed")
    assert (await http.get(ROUND)).json() == record


async def test_a_participant_who_has_not_delivered_keeps_a_round_open(http: httpx.AsyncClient, job: World) -> None:
    await put(http, "client-1")
    answer = await http.post(f"{ROUND}/commit", json={"participants": ["client-1", "client-2"]})
    assert problem(answer, 404, "not-found")["nearest"] == ["client-1"]
    assert (await http.get(ROUND)).json()["committed_at"] is None


async def test_a_commit_s_body_is_checked(http: httpx.AsyncClient, job: World) -> None:
    document = problem(await http.post(f"{ROUND}/commit", json={"metric": {}}), 422, "invalid-parameters")
    assert document["errors"] == [{"field": "body.metric", "message": "Extra inputs are not permitted"}]


async def test_rounds_are_listed_with_their_clients(http: httpx.AsyncClient, job: World) -> None:
    job.fill(4, 1)
    job.fill(0, 2)
    job.commit(0)
    assert (await http.get("/v1/jobs/job/rounds")).json()["rounds"] == [
        {"round": 0, "committed": True, "clients": 2},
        {"round": 4, "committed": False},
    ]


async def test_unknown_rounds_and_clients_are_named_with_the_nearest(http: httpx.AsyncClient, job: World) -> None:
    await http.put("/v1/jobs/job/rounds/1/clients/client-7", content=body(1))
    assert problem(await http.get("/v1/jobs/job/rounds/11"), 404, "not-found")["nearest"] == ["1"]
    document = problem(await http.get("/v1/jobs/job/rounds/1/clients/client-8"), 404, "not-found")
    assert document["nearest"] == ["client-7"]
    problem(await http.get("/v1/jobs/job/rounds/1/aggregate"), 404, "not-found")
    problem(await http.put("/v1/jobs/jab/rounds/1/clients/c", content=body(1)), 404, "not-found")


@pytest.mark.parametrize("number", ["-1", "x", "100000000", "1e3"])
async def test_rounds_are_small_numbers(http: httpx.AsyncClient, job: World, number: str) -> None:
    document = problem(await http.get(f"/v1/jobs/job/rounds/{number}"), 422, "invalid-parameters")
    assert document["errors"][0]["field"] == "path.round"


@pytest.mark.parametrize(
    ("client", "message"),
    [("aggregate", "reserved"), ("metadata", "reserved"), (".x", "is not usable"), ("x" * 129, "is not usable")],
)
async def test_names_are_checked(http: httpx.AsyncClient, job: World, client: str, message: str) -> None:
    assert message in problem(await put(http, client), 422, "invalid-id")["detail"]


# Downloads


@pytest.mark.parametrize(
    ("header", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=90-", 90, -1),
        ("bytes=-7", -7, -1),
        ("bytes=5-99999999", 5, -1),
        (" bytes=0-0 ", 0, 0),
    ],
)
async def test_a_range_is_served(http: httpx.AsyncClient, job: World, header: str, first: int, last: int) -> None:
    await put(http)
    whole, size = body(1), len(body(1))
    first, last = first % size, last % size
    answer = await http.get(f"{ROUND}/clients/c", headers={"range": header})
    assert (answer.status_code, answer.content) == (206, whole[first : last + 1])
    assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert answer.headers["content-length"] == str(last - first + 1)


@pytest.mark.parametrize("header", ["bytes=5-3", "bytes=0-1,4-5", "bytes=-", "lines=1-2", "bytes=" + "9" * 50 + "-"])
async def test_an_unusable_range_header_is_ignored(http: httpx.AsyncClient, job: World, header: str) -> None:
    await put(http)
    answer = await http.get(f"{ROUND}/clients/c", headers={"range": header})
    assert (answer.status_code, answer.content) == (200, body(1))


@pytest.mark.parametrize("header", ["bytes=99999999-", "bytes=-0"])
async def test_a_range_outside_is_refused(http: httpx.AsyncClient, job: World, header: str) -> None:
    await put(http)
    answer = await http.get(f"{ROUND}/clients/c", headers={"range": header})
    assert f"outside of the object's {len(body(1))} bytes" in problem(answer, 416, "range-not-satisfiable")["detail"]


async def test_a_caller_that_has_the_bytes_gets_304(http: httpx.AsyncClient, job: World) -> None:
    await put(http)
    tag = f'"{hashlib.sha256(body(1)).hexdigest()}"'
    for header in (tag, f'"x", W/{tag}', "*"):
        answer = await http.get(f"{ROUND}/clients/c", headers={"if-none-match": header})
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (304, b"", tag)
    answer = await http.get(f"{ROUND}/clients/c", headers={"if-none-match": '"other"'})
    assert answer.status_code == 200


async def test_an_unreadable_object_is_answered_with_a_problem(http: httpx.AsyncClient, job: World) -> None:
    await put(http)

    def fail(call: Call) -> None:
        if call.method == "stream":
            raise StoreUnavailable("the object store does not answer")

    job.store.before = fail
    answer = await http.get(f"{ROUND}/clients/c")
    problem(answer, 503, "store-unavailable")
    assert answer.headers["retry-after"] == "1"


# Sizes


async def chunks(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


@pytest.mark.parametrize(
    ("method", "path"),
    [("PUT", f"{ROUND}/clients/c"), ("POST", "/v1/jobs/job/workloads/metrics"), ("PUT", "/v1/jobs/other")],
)
async def test_a_body_of_unknown_length_is_refused(http: httpx.AsyncClient, job: World, method: str, path: str) -> None:
    answer = await http.request(method, path, content=chunks(b"{", b"}"))
    assert "send Content-Length" in problem(answer, 411, "length-required")["detail"]


async def test_a_body_of_another_length_than_announced_is_refused(http: httpx.AsyncClient, job: World) -> None:
    answer = await put(http, content=GOOD[:-4], headers={"content-length": str(len(GOOD))})
    assert f"Content-Length says {len(body(1))}" in problem(answer, 422, "invalid-parameters")["detail"]


class Unread(AsyncIterable[bytes]):
    """A body of which nothing may be read."""

    def __aiter__(self) -> AsyncIterator[bytes]:
        raise AssertionError("the body is not to be read")


async def test_limits_are_enforced_before_a_body_is_read() -> None:
    gateway = world(upload_limit=1000, in_flight_bytes=1500)
    gateway.create()

    async with client_of(gateway) as http:

        async def send(path: str, nbytes: int) -> httpx.Response:
            return await http.put(path, content=Unread(), headers={"content-length": str(nbytes)})

        large = problem(await send(f"{ROUND}/clients/c", 1001), 413, "too-large")
        assert "1001 bytes; at most 1000 are accepted" in large["detail"]
        problem(await send("/v1/jobs/another", 99_000_000), 413, "too-large")
        problem(await send("/v1/jobs/job/model", 1001), 413, "too-large")
        with gateway.state.uploads.hold(1000) as hold:
            await hold.grow(1000)
            busy = await send(f"{ROUND}/clients/c", 501)
            assert "1000 of 1500 bytes of uploads are in flight" in problem(busy, 429, "busy")["detail"]
            assert busy.headers["retry-after"] == "1"
            assert (await http.put(f"{ROUND}/clients/c", content=body(1))).status_code == 201
        assert gateway.state.uploads.used == 0


async def test_a_body_that_does_not_come_is_given_up() -> None:
    gateway = world(upload_patience_seconds=0.0)
    gateway.create()

    async def stalled() -> AsyncIterator[bytes]:
        yield body(1)[:1]
        await asyncio.Event().wait()

    async with client_of(gateway) as http:
        size = str(len(body(1)))
        answer = await http.put(f"{ROUND}/clients/c", content=stalled(), headers={"content-length": size})
        document = problem(answer, 408, "too-slow")
        assert f"of the body's {size} bytes came in time; send at least 65536 a second" in document["detail"]
        assert answer.headers["connection"] == "close"
    assert gateway.state.uploads.used == 0


async def test_answers_show_clients_by_the_names_that_they_were_given(http: httpx.AsyncClient, job: World) -> None:
    names = ["Hospital A", "ipv4:10.0.0.1:80", 'say "x"', "Köln", "c1"]
    for seed, name in enumerate(names):
        answer = await put(http, encode(name), body(seed), {"X-FLStore-Metrics": json.dumps({"note": f"x--{seed}"})})
        assert answer.json()["client"] == name
    committed = (await http.post(f"{ROUND}/commit")).json()
    assert sorted(member["client"] for member in committed["members"]) == sorted(names)
    assert committed == (await http.get(ROUND)).json()
    assert {member["metrics"]["note"] for member in committed["members"]} == {f"x--{seed}" for seed in range(5)}
    answer = await http.post("/v1/jobs/job/workloads/cosine-similarity", json={"round": 0})
    assert sorted(answer.json()["result"]["clients"]) == sorted(names)
    asked = {"round": 0, "clients": [encode(name) for name in names[:2]]}
    answer = await http.post("/v1/jobs/job/workloads/cosine-similarity", json=asked)
    assert sorted(answer.json()["result"]["clients"]) == sorted(names[:2])
    assert (await http.delete(f"/v1/jobs/job/clients/{encode('Köln')}")).json()["client"] == "Köln"


async def test_answers_and_errors_show_jobs_by_the_names_that_they_were_given(
    http: httpx.AsyncClient, gateway: World
) -> None:
    name = "Köln's run/7"
    url = f"/v1/jobs/{encode(name)}"
    made = await http.put(url, json={"schema": TENSORS})
    assert (made.status_code, made.json()["job"]) == (201, name)
    assert (await http.get(url)).json() == {**made.json()}
    assert [job["job"] for job in (await http.get("/v1/jobs")).json()["jobs"]] == [name]
    assert (await http.put(f"{url}/rounds/0/clients/c", content=body(1))).json()["job"] == name
    assert (await http.post(f"{url}/rounds/0/commit")).status_code == 200
    answer = (await http.post(f"{url}/workloads/metrics", json={})).json()
    assert answer["job"] == name
    placed = (await http.get("/v1/placement")).json()
    assert list(placed["jobs"]) == [name]
    stored = await http.put(f"{url}/datasets/d", content=save({"inputs": np.ones((2, 2), np.float32)}))
    assert stored.json()["job"] == name
    late = problem(await http.put(f"{url}/rounds/0/clients/d", content=body(2)), 409, "round-committed")
    assert f"job '{name}'" in late["detail"]
    unknown = problem(await http.get(f"/v1/jobs/{encode(name + '0')}"), 404, "not-found")
    assert unknown["nearest"] == [name]
    assert f"job '{name}0' does not exist; nearest: {name}" in unknown["detail"]
    assert (await http.delete(url)).status_code == 204


async def test_a_name_that_is_not_usable_is_refused_with_its_usable_form(http: httpx.AsyncClient, job: World) -> None:
    document = problem(await put(http, "Hospital%20A"), 422, "invalid-id")
    assert "The client and `flstore` write it as x--Hospital_20A" in document["detail"]
