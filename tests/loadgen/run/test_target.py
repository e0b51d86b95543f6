"""Calls of a target, over connections that answer as a test says."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import safetensors.numpy

from flstore_core.errors import Busy, FLStoreError, NotFound, Unavailable
from loadgen.run.connections import Pool, Reply
from loadgen.run.questions import DOWNLOAD, Question
from loadgen.run.results import load
from loadgen.run.runner import Plan
from loadgen.run.session import Session, run_session
from loadgen.run.synthetic_models import Models, schema_of
from loadgen.run.target import BUSY, Answered, Target

ANSWER = {"execution": {"hits": 3, "misses": 1, "where": "shards", "cost": {"dollars": 0.5}}}


class Connections:
    """Replies in order, the last one for ever; keeps what was requested."""

    url = "http://target"

    def __init__(self, *replies: Reply) -> None:
        self._replies = list(replies)
        self.requests: list[tuple[str, str, bytes, str]] = []

    async def request(
        self, method: str, path: str, body: Sequence[bytes | memoryview] = (), headers: str = ""
    ) -> Reply:
        self.requests.append((method, path, b"".join(body), headers))
        return self._replies.pop(0) if len(self._replies) > 1 else self._replies[0]


def reply(data: Any, status: int = 200) -> Reply:
    return Reply(status, json.dumps(data).encode())


def target(*replies: Reply, anew: bool = True) -> tuple[Target, Connections]:
    connections = Connections(*replies)
    return Target(connections, anew=anew), connections  # type: ignore[arg-type]


@pytest.fixture
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    pauses: list[float] = []

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)

    monkeypatch.setattr("loadgen.run.target.asyncio", SimpleNamespace(sleep=sleep, gather=asyncio.gather))
    return pauses


async def test_an_upload_is_a_sound_file_with_its_metrics_in_a_header() -> None:
    under_load, connections = target(reply({}))
    models = Models(schema_of(4000), seed=1)
    await under_load.put("j", 3, "client 7", models)
    [(method, path, body, headers)] = connections.requests
    assert (method, path) == ("PUT", "/v1/jobs/j/rounds/3/clients/client%207")
    arrays = safetensors.numpy.load(body)
    assert sum(array.nbytes for array in arrays.values()) == 4000
    assert all(np.isfinite(array).all() for array in arrays.values())
    metrics = json.loads(headers.split("X-FLStore-Metrics: ")[1].split("\r\n")[0])
    assert metrics == models.metrics("j", 3, "client 7")
    assert 50 <= metrics["num_examples"] < 250


async def test_an_aggregate_has_its_own_path_and_no_metrics() -> None:
    under_load, connections = target(reply({}))
    await under_load.put("j", 3, "aggregate", Models(schema_of(400), seed=1))
    assert connections.requests[0][1] == "/v1/jobs/j/rounds/3/aggregate"
    assert "X-FLStore-Metrics: {}" in connections.requests[0][3]


@pytest.mark.parametrize("status", [429, 503])
async def test_an_upload_that_is_told_to_come_back_does(no_pauses: list[float], status: int) -> None:
    under_load, connections = target(reply({}, status), reply({}, status), reply({}))
    await under_load.put("j", 0, "a", Models(schema_of(400), seed=1))
    assert len(connections.requests) == 3
    assert no_pauses == [0.1, 0.2]


async def test_an_upload_gives_up_after_seven_attempts(no_pauses: list[float]) -> None:
    under_load, connections = target(reply({"code": "busy", "status": 429, "detail": "later"}, 429))
    with pytest.raises(Busy, match="later"):
        await under_load.put("j", 0, "a", Models(schema_of(400), seed=1))
    assert len(connections.requests) == BUSY.attempts
    assert no_pauses == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 3.2])


async def test_an_error_that_time_does_not_mend_is_raised_at_once(no_pauses: list[float]) -> None:
    under_load, connections = target(reply({"code": "not-found", "status": 404, "detail": "no job"}, 404))
    with pytest.raises(NotFound, match="no job"):
        await under_load.put("j", 0, "a", Models(schema_of(400), seed=1))
    assert len(connections.requests) == 1


@pytest.mark.parametrize(("anew", "header"), [(True, "no-cache"), (False, "")])
async def test_a_question_is_one_call_whose_figures_are_read(anew: bool, header: str) -> None:
    under_load, connections = target(reply(ANSWER), anew=anew)
    answered = await under_load.ask("j", Question("norms", ({"round": 1},)))
    assert answered == Answered(3, 1, 0.5, "shards")
    [(method, path, body, headers)] = connections.requests
    assert (method, path, json.loads(body)) == ("POST", "/v1/jobs/j/workloads/norms", {"round": 1})
    assert ("Cache-Control: no-cache" in headers) is bool(header)


async def test_a_question_of_two_calls_is_summed_up() -> None:
    under_load, connections = target(reply(ANSWER))
    answered = await under_load.ask("j", Question("inspect", ({"round": 1}, {"round": 2})))
    assert answered == Answered(6, 2, 1.0, "shards")
    assert len(connections.requests) == 2


async def test_an_answer_without_figures_counts_as_nothing() -> None:
    under_load, _ = target(reply({"execution": {"cost": None}}))
    assert await under_load.ask("j", Question("norms", ({},))) == Answered()


@pytest.mark.parametrize(("client", "member"), [("aggregate", "aggregate"), ("c/1", "clients/c/1")])
async def test_a_download_fetches_the_model_and_is_a_miss(client: str, member: str) -> None:
    under_load, connections = target(Reply(200, b"model"))
    answered = await under_load.ask("j", Question(DOWNLOAD, ({"round": 4, "client": client},)))
    assert answered == Answered(misses=1, where="download")
    assert connections.requests[0][1] == f"/v1/jobs/j/rounds/4/{member}"


async def test_awake_shards_are_those_not_at_zero() -> None:
    states = ["zero", "awake", "starting"]
    under_load, _ = target(reply({"shards": [{"shard": f"s{i}", "state": state} for i, state in enumerate(states)]}))
    assert await under_load.awake() == 2
    assert await target(reply({}))[0].awake() == 0


METRICS = """# HELP flstore_cost_dollars_total Dollars
flstore_cost_dollars_total{kind="ingest"} 0.25
flstore_cost_dollars_total{kind="commits"} 1e-06
flstore_requests_total{code="200"} 7
"""


@pytest.mark.parametrize(
    ("response", "costs"),
    [
        (Reply(200, METRICS.encode()), {"ingest": 0.25, "commits": 1e-6}),
        (Reply(200, b""), {}),
        (Reply(404, METRICS.encode()), {}),
    ],
)
async def test_costs_are_read_from_the_metrics(response: Reply, costs: Mapping[str, float]) -> None:
    assert await target(response)[0].costs() == costs


@pytest.mark.parametrize("data", [[], {"jobs": []}, "text"])
async def test_a_server_that_lists_no_workloads_is_no_target(data: Any) -> None:
    with pytest.raises(Unavailable, match="http://target does not list workloads; is this the URL of an FLStore"):
        await target(reply(data))[0].catalogue()


async def test_a_page_in_place_of_json_is_told() -> None:
    with pytest.raises(Unavailable, match="HTTP 200 came without JSON"):
        await target(Reply(200, b"<html>"))[0].catalogue()
    with pytest.raises(FLStoreError):
        await target(Reply(502, b"<html>"))[0].catalogue()


@pytest.mark.parametrize("url", ["https://x", "ftp://x", "localhost:80", ""])
def test_load_is_put_on_plain_http_only(url: str) -> None:
    with pytest.raises(FLStoreError, match="is not a URL to put load on"):
        Pool(url, 1.0)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def serving(handler: Handler, timeout: float = 5.0) -> AsyncIterator[Pool]:
    """Yield connections to a server that handles them so; when the block ends, all are closed on both sides."""
    handled: list[asyncio.Task[None]] = []

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handled.append(cast("asyncio.Task[None]", asyncio.current_task()))
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            with suppress(ConnectionError):
                await writer.wait_closed()

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=timeout)
    yield pool
    pool.close()
    server.close()
    await asyncio.gather(*handled, return_exceptions=True)


async def test_a_server_that_breaks_off_is_unavailable() -> None:
    async def break_off(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    async with serving(break_off) as pool:
        with pytest.raises(Unavailable, match="does not answer: the server closed the connection"):
            await pool.request("GET", "/")


async def test_an_answer_that_is_no_http_is_unavailable() -> None:
    async def babble(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"220 mail.example ESMTP\r\n")
        await reader.read()

    async with serving(babble) as pool:
        with pytest.raises(Unavailable, match="the answer is no HTTP"):
            await pool.request("GET", "/")


async def test_an_answer_that_takes_too_long_is_unavailable() -> None:
    async def wait(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            await reader.read()

    async with serving(wait, timeout=0.05) as pool:
        with pytest.raises(Unavailable, match=r"GET /slow took longer than 0\.05 s"):
            await pool.request("GET", "/slow")


def test_a_run_against_nobody_fails_before_it_begins() -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        run_session(Session("http://127.0.0.1:9", Plan()), [])


def test_results_are_loaded_only_if_they_are_results(tmp_path: Any) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"form": "other"}')
    with pytest.raises(FLStoreError, match="has no results of the form flstore-load/1"):
        load(path)
