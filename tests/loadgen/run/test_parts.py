"""The runner's parts, without a target."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.codec import parse
from flstore_core.errors import InvalidParameters, NotFound
from flstore_core.patterns import Pattern
from flstore_core.schema import ITEMSIZE
from flstore_core.simulator import TraceError
from loadgen.run.connections import Pool
from loadgen.run.events import Request, parse_lines
from loadgen.run.latencies import Latencies
from loadgen.run.questions import Catalogue
from loadgen.run.scenario import cut, load_scenario, parse_scenario, scenario_names
from loadgen.run.synthetic_models import Models, schema_of
from loadgen.traces.generator import MODEL_BYTES
from tests.waiting import soon

sizes = st.integers(1, 50_000).map(lambda count: 4 * count)


@given(sizes)
def test_a_schema_has_exactly_the_bytes_asked_for(nbytes: int) -> None:
    assert schema_of(nbytes).nbytes == nbytes


@pytest.mark.parametrize("model", MODEL_BYTES)
def test_every_model_of_a_trace_has_a_schema(model: str) -> None:
    schema = schema_of(MODEL_BYTES[model])
    assert schema.nbytes == MODEL_BYTES[model]
    assert ITEMSIZE[schema.tensors[0].dtype] == (2 if model == "lora_7b" else 4)


def test_models_are_sound_files_that_differ_and_come_again() -> None:
    schema = schema_of(40_000)
    models, same = Models(schema, seed=1), Models(schema, seed=1)
    body = b"".join(models.body("j", 3, "a"))
    arrays = safetensors.numpy.load(body)
    assert parse(memoryview(body)).schema == schema
    assert all(np.isfinite(array).all() for array in arrays.values())
    assert body == b"".join(same.body("j", 3, "a"))
    others = [b"".join(models.body("j", number, client)) for number, client in ((3, "b"), (4, "a"))]
    assert len({body, *others}) == 3


def test_many_models_take_the_memory_of_one() -> None:
    models = Models(schema_of(4_000_000), seed=1)
    bodies = [models.body("j", number, "a")[1] for number in range(1000)]
    assert all(body.obj is bodies[0].obj for body in bodies)


@settings(deadline=None)
@given(st.lists(st.floats(1e-6, 1000.0), min_size=1, max_size=200))
def test_quantiles_are_those_of_the_samples_to_three_digits(samples: list[float]) -> None:
    latencies = Latencies()
    for sample in samples:
        latencies.add(sample)
    assert latencies.quantile_ms(100.0) == pytest.approx(1e3 * max(samples), rel=2e-3, abs=1e-3)
    assert latencies.to_json()["mean_ms"] == pytest.approx(1e3 * np.mean(samples))


def test_times_out_of_order_are_refused_by_line() -> None:
    commit = {"event": "commit", "job": "j", "round": 0, "aggregate_bytes": 8}
    lines = [json.dumps({"t": t, **commit}) for t in (1.0, 0.5)]
    with pytest.raises(TraceError, match="line 2"):
        list(parse_lines(lines))


_ROUND: dict[str, Any] = {"properties": {"round": {}}}
_RANGE: dict[str, Any] = {"properties": {"first": {}, "last": {}}}
DESCRIBED: list[dict[str, Any]] = [
    {"name": "malicious-filter", "parameters": _ROUND},
    {"name": "cosine-similarity", "parameters": _ROUND},
    {"name": "reputation", "parameters": {"properties": {"client": {}, "last": {}}, "required": ["client"]}},
    {"name": "provenance", "parameters": {"properties": {"round": {}, "last": {}}}},
    *({"name": name, "parameters": _RANGE} for name in ("metrics", "hyperparameters", "schedule-performance")),
]


@pytest.mark.parametrize(
    ("name", "pattern", "keys", "workload", "params"),
    [
        ("filtering", "P2", [(7, "1"), (7, "2")], "malicious-filter", [{"round": 7}]),
        ("audit", "P2", [(7, "1")], "cosine-similarity", [{"round": 7}]),
        ("unheard-of", "P2", [(7, "1")], "cosine-similarity", [{"round": 7}]),
        ("reputation", "P3", [(2, "9"), (5, "9")], "reputation", [{"client": "9", "last": 2}]),
        ("provenance", "P3", [(2, "9"), (5, "9")], "provenance", [{"round": 5, "last": 2}]),
        ("scheduling", "P4", [(2, "metadata"), (4, "metadata")], "schedule-performance", [{"first": 2, "last": 4}]),
        ("hyperparameters", "P4", [(n, "metadata") for n in range(4)], "hyperparameters", [{"first": 0, "last": 3}]),
        ("hyperparameters", "P4", [(0, "metadata")], "metrics", [{"first": 0, "last": 0}]),
        ("dashboard", "P4", [(2, "metadata"), (4, "metadata")], "metrics", [{"first": 2, "last": 4}]),
        ("serving", "P1", [(3, "aggregate")], "download", [{"round": 3, "client": "aggregate"}]),
    ],
)
def test_requests_of_a_trace_become_questions_of_the_target(
    name: str, pattern: str, keys: list[tuple[int, str]], workload: str, params: list[dict[str, object]]
) -> None:
    question = Catalogue(DESCRIBED).question(Request(0.0, "j", name, Pattern(pattern), tuple(keys)))
    assert (question.workload, list(question.params)) == (workload, params)


def test_a_target_without_the_pattern_is_told() -> None:
    with pytest.raises(InvalidParameters, match="no workload"):
        Catalogue([]).question(Request(0.0, "j", "audit", Pattern.P2, ((1, "a"),)))


def test_two_models_are_two_calls_of_a_workload_on_one() -> None:
    inspect = {"name": "inspect", "parameters": {"properties": {"round": {}, "client": {}}}}
    ask = Request(0.0, "j", "evaluation", Pattern.P1, ((3, "aggregate"), (4, "aggregate")))
    question = Catalogue([inspect]).question(ask)
    assert [params["round"] for params in question.params] == [3, 4]


@pytest.mark.parametrize("name", ["paper-50h", "burst", "many-jobs", "cold", "scan", "soak"])
def test_the_scenarios_are_there_and_make_events(name: str) -> None:
    assert name in scenario_names()
    assert sum(1 for _ in cut(load_scenario(name).events(), 400.0)) > 0


def test_an_unknown_scenario_names_the_nearest() -> None:
    with pytest.raises(NotFound, match="paper-50h"):
        load_scenario("paper-50")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("about: [", "no YAML"),
        ("just text", "no mapping"),
        ("about: x\nspeeed: 3", "'speeed' is unknown"),
        ("about: x\njobs: many", "jobs is 'many'"),
        ("about: x\ntrace: {rounds: 1.5}", "rounds is 1.5"),
    ],
)
def test_a_scenario_that_does_not_fit_says_where(text: str, told: str) -> None:
    with pytest.raises(InvalidParameters, match=told):
        parse_scenario("mine", text)


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def _ask(handler: Handler, *, times: int = 1) -> list[int]:
    handling: set[asyncio.StreamWriter] = set()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handling.add(writer)
        try:
            await handler(reader, writer)
        finally:
            writer.close()
            handling.discard(writer)

    server = await asyncio.start_server(handle, "127.0.0.1", 0)
    pool = Pool(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", timeout=5.0)
    try:
        return [(await pool.request("PUT", "/x", [b"a" * 3_000_000])).status for _ in range(times)]
    finally:
        pool.close()
        server.close()
        await soon(lambda: not handling)


async def test_a_connection_is_used_again_and_large_bodies_arrive_whole() -> None:
    connections, received = 0, []

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                await reader.readuntil(b"\r\n\r\n")
                received.append(len(await reader.readexactly(3_000_000)))
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    assert await _ask(handler, times=3) == [200, 200, 200]
    assert received == [3_000_000] * 3
    assert connections == 1


async def test_an_answer_that_comes_before_the_body_is_sent_counts_and_ends_the_connection() -> None:
    connections = 0

    async def handler(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        with suppress(ConnectionError):
            await reader.read()

    assert await _ask(handler, times=2) == [413, 413]
    assert connections == 2
