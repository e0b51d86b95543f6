"""Traces: spans of requests where a collector is named, and nothing at all where none is."""

import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from flstore_core.errors import InvalidParameters, NotFound, StoreUnavailable
from flstore_core.storage.base import read_many
from services.common import tracing
from services.common.logs import RequestLog
from services.common.opentelemetry import LONGEST_PATH, OpenTelemetry, create_tracer
from services.common.tracing import begin, headers, is_off, middleware, span, use, watched
from services.common.watched_store import WatchedStore
from tests.common.collector import Collector, collector
from tests.fakes.store import MemoryStore

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{PARENT}-01"}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Have spans kept in memory for the length of a test."""
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with tracing.tracing(OpenTelemetry(provider)):
        yield kept


def described(kept: InMemorySpanExporter) -> dict[str, Mapping[str, Any]]:
    """Return the attributes of each span by its name."""
    return {each.name: dict(each.attributes or {}) for each in kept.get_finished_spans()}


async def answer(request: Request) -> JSONResponse:
    """Do what the query asks for."""
    if "fail" in request.query_params:
        raise StoreUnavailable("away")
    if "break" in request.query_params:
        raise RuntimeError("broken")
    with span("stage map"):
        return JSONResponse(dict(headers()), int(request.query_params.get("status", 200)))


async def ask(path: str, sent: Mapping[str, str] = TRACEPARENT) -> httpx.Response:
    routes = [Route("/v1/{job}/ask", answer), Route("/healthz", answer)]
    app = Starlette(routes=routes, middleware=[*middleware()])
    transport = httpx.ASGITransport(RequestLog(app), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://gateway") as client:
        return await client.get(path, headers=dict(sent))


async def test_a_request_goes_on_with_its_callers_trace(spans: InMemorySpanExporter) -> None:
    forwarded = (await ask("/v1/j/ask")).json()["traceparent"]
    stage, request = spans.get_finished_spans()
    assert stage.context
    assert stage.parent
    assert request.context
    assert request.parent
    assert (f"{request.context.trace_id:032x}", f"{request.parent.span_id:016x}") == (TRACE, PARENT)
    assert stage.parent.span_id == request.context.span_id
    assert forwarded == f"00-{TRACE}-{stage.context.span_id:016x}-01"
    assert (request.kind, stage.kind) == (SpanKind.SERVER, SpanKind.INTERNAL)
    assert dict(request.attributes or {}) == {
        "http.request.method": "GET",
        "url.path": "/v1/j/ask",
        "http.route": "/v1/{job}/ask",
        "http.response.status_code": 200,
    }


RUBBISH = [
    {},
    {"traceparent": "rubbish"},
    {"traceparent": f"00-{'0' * 32}-{PARENT}-01"},
    {"traceparent": "0" * 100_000},
    {"traceparent": TRACEPARENT["traceparent"] + "," * 100_000},
    {"tracestate": "a=b," * 25_000},
]


@pytest.mark.parametrize("sent", RUBBISH, ids=range(len(RUBBISH)))
async def test_a_request_without_a_sound_trace_begins_one(spans: InMemorySpanExporter, sent: dict[str, str]) -> None:
    await ask("/v1/j/ask", sent)
    _, request = spans.get_finished_spans()
    assert request.parent is None


@pytest.mark.parametrize("state", ["a=b," * 25_000, "=" * 100_000, "a=" + "1" * 100_000], ids=range(3))
async def test_a_trace_goes_on_without_a_state_that_is_none(spans: InMemorySpanExporter, state: str) -> None:
    answered = (await ask("/v1/j/ask", {**TRACEPARENT, "tracestate": state})).json()
    assert answered["traceparent"].startswith(f"00-{TRACE}-")
    assert "tracestate" not in answered


async def test_a_span_says_the_beginning_of_a_long_path(spans: InMemorySpanExporter) -> None:
    await ask(f"/v1/{'j' * 60_000}")
    (request,) = spans.get_finished_spans()
    assert len(str((request.attributes or {})["url.path"])) == LONGEST_PATH


async def test_what_machines_ask_all_the_time_is_no_trace(spans: InMemorySpanExporter) -> None:
    assert (await ask("/healthz")).json() == {}
    assert not spans.get_finished_spans()


@pytest.mark.parametrize(
    ("query", "failed"), [("status=404", False), ("status=503", True), ("fail=1", True), ("break=1", True)]
)
async def test_only_what_failed_here_is_an_error(spans: InMemorySpanExporter, query: str, failed: bool) -> None:
    await ask(f"/v1/j/ask?{query}")
    assert spans.get_finished_spans()[-1].status.is_ok is not failed


def test_outside_of_a_request_there_are_no_spans(spans: InMemorySpanExporter) -> None:
    store = watched(MemoryStore())
    with span("stage map"):
        store.put("a", b"x")
    assert not headers()
    assert not spans.get_finished_spans()


def test_each_operation_of_a_store_is_a_span(spans: InMemorySpanExporter) -> None:
    store = watched(MemoryStore())
    with OpenTelemetry(TracerProvider())._tracer.start_as_current_span("request"):
        store.put("jobs/a", b"content")
        store.get("jobs/a")
        store.get_with_info("jobs/a")
        store.read_into("jobs/a", memoryview(bytearray(3)))
        assert b"".join(store.stream("jobs/a", chunk=2)) == b"content"
        assert [info.key for info in store.list("jobs")] == ["jobs/a"]
        assert not list(store.list("other"))
        assert list(store.folders()) == ["jobs"]
        store.stat("jobs/a")
        store.probe()
        store.delete("jobs/a")
        with pytest.raises(NotFound):
            store.get("jobs/a")
        store.delete_prefix("jobs")
        assert store.purge_history("jobs", lambda key: True) == 0
    store.close()
    seen = spans.get_finished_spans()
    assert [each.name.removeprefix("store ") for each in seen] == [
        *("put", "get", "get_with_info", "read_into", "stream", "list", "list", "folders", "stat"),
        *("delete", "get", "delete_prefix", "purge_history"),
    ]
    assert all(each.kind is SpanKind.CLIENT and each.status.is_ok for each in seen)
    assert dict(seen[0].attributes or {}) == {"flstore.key": "jobs/a", "flstore.nbytes": 7}
    assert dict(seen[-3].attributes or {}) == {"flstore.key": "jobs/a", "error.type": "NotFound"}


def test_reads_in_other_threads_belong_to_the_request(spans: InMemorySpanExporter) -> None:
    store = watched(MemoryStore())
    store.put("a", b"content")
    with OpenTelemetry(TracerProvider())._tracer.start_as_current_span("request") as request:
        read_many(store, [("a", 0, memoryview(bytearray(2))), ("a", 2, memoryview(bytearray(2)))])
    assert [each.parent and each.parent.span_id for each in spans.get_finished_spans()] == [
        request.get_span_context().span_id
    ] * 2


def test_a_stream_may_end_in_another_thread_than_it_began_in(
    spans: InMemorySpanExporter, caplog: pytest.LogCaptureFixture
) -> None:
    store = watched(MemoryStore())
    store.put("a", b"content")
    with OpenTelemetry(TracerProvider())._tracer.start_as_current_span("request"):
        chunks = store.stream("a", chunk=3)
        assert next(chunks) == b"con"
    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(b"".join, chunks).result() == b"tent"
    assert not caplog.records


@pytest.mark.parametrize(
    ("service", "imports"),
    [
        ("shard", ("opentelemetry", "requests")),
        ("gateway", ("opentelemetry.sdk", "opentelemetry.exporter", "requests")),
    ],
)
def test_off_nothing_is_imported_or_wrapped(service: str, imports: tuple[str, ...]) -> None:
    """FastAPI imports OpenTelemetry's API by itself, where it is installed."""
    program = (
        f"import sys, services.{service}.app\n"
        "from services.common import tracing\n"
        "tracing.begin('gateway', {})\n"
        "assert tracing.middleware() == [] and tracing.headers() == {}\n"
        "assert tracing.watched(sys) is sys and tracing.span('a') is tracing.span('b')\n"
        f"print([name for name in sys.modules if name.startswith({imports})])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


@pytest.mark.parametrize(
    ("env", "off"),
    [
        ({}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": ""}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_SDK_DISABLED": "True"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "none"}, True),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_the_environment_turns_traces_on(env: dict[str, str], off: bool) -> None:
    assert is_off(env) is off


def test_a_collector_of_another_protocol_is_refused() -> None:
    env = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}
    with pytest.raises(InvalidParameters, match="OTEL_EXPORTER_OTLP_PROTOCOL is 'grpc'; only http/protobuf"):
        begin("gateway", env)


def test_without_the_sdk_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "services.common.opentelemetry", None)
    with pytest.raises(InvalidParameters, match=r"pip install 'flstore-server\[otel\]'"):
        begin("gateway", {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"})


@pytest.fixture
def collected() -> Iterator[Collector]:
    with collector() as it:
        yield it


@pytest.mark.parametrize("compression", ["none", "gzip"])
async def test_spans_reach_a_collector(collected: Collector, monkeypatch: pytest.MonkeyPatch, compression: str) -> None:
    for name, value in {**collected.env, "OTEL_EXPORTER_OTLP_COMPRESSION": compression}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment=test")
    tracer = create_tracer("shard", "shard-0")
    with tracing.tracing(tracer):
        assert middleware()
        await ask("/v1/j/ask")
    request, stage = collected.await_one("GET /v1/{job}/ask"), collected.await_one("stage map")
    assert (request.service, request.trace, request.parent) == ("flstore-shard", TRACE, PARENT)
    assert collected.parents(stage) == ["flstore-shard GET /v1/{job}/ask"]
    assert collected.paths == {"/v1/traces"}


def test_begin_has_this_process_make_spans(collected: Collector, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in collected.env.items():
        monkeypatch.setenv(name, value)
    try:
        begin("gateway", collected.env)
        assert middleware()
        assert isinstance(watched(MemoryStore()), WatchedStore)
    finally:
        assert tracing._tracer
        tracing._tracer.end()
        use(None)
