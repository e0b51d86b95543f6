"""Spans by OpenTelemetry's SDK, sent over OTLP. Imported only where traces are on (`services.common.tracing`).

Where they go, how many are kept and what else they carry is read by the SDK itself, from the variables that
OpenTelemetry defines: https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flstore_core import __version__
from flstore_core.errors import FLStoreError
from flstore_core.shard.protocol import WORK_HEADER
from services.common.logs import QUIET_PATHS, REQUEST_ID_HEADER

PREFIX = "flstore."
"""Begins the names of attributes that are ours."""

LONGEST_PATH = 1024
"""Characters of a request's path that its span says. Who has no token makes spans too, and many wait to be sent."""

_PROPAGATOR = TraceContextTextMapPropagator()
_NOTHING: AbstractContextManager[None] = nullcontext()


def create_tracer(service: str, instance: str) -> "OpenTelemetry":
    """Return what makes the spans of a service, and sends them in the background."""
    named = {"service.name": f"flstore-{service}", "service.version": __version__}
    provider = TracerProvider(resource=Resource.create(named | ({"service.instance.id": instance} if instance else {})))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return OpenTelemetry(provider)


class OpenTelemetry:
    """Makes spans. Safe to share between threads."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer("flstore", __version__)

    def span(self, name: str, calls: bool, attributes: Mapping[str, Any]) -> AbstractContextManager[object]:
        if not trace.get_current_span().get_span_context().is_valid:
            return _NOTHING
        ours = {PREFIX + key: value for key, value in attributes.items()}
        return self._lasting(name, SpanKind.CLIENT if calls else SpanKind.INTERNAL, ours)

    def headers(self) -> Mapping[str, str]:
        carrier: dict[str, str] = {}
        _PROPAGATOR.inject(carrier)
        return carrier

    def serve(self, app: ASGIApp) -> ASGIApp:
        async def traced(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http" or scope["path"] in QUIET_PATHS:
                await app(scope, receive, send)
            else:
                await self._answer(app, scope, receive, send)

        return traced

    def end(self) -> None:
        self._provider.shutdown()

    async def _answer(self, app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        attributes = {"http.request.method": method, "url.path": scope["path"][:LONGEST_PATH]}
        parent = _PROPAGATOR.extract(Headers(scope=scope))
        with self._lasting(method, SpanKind.SERVER, attributes, parent) as span:

            async def note_answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _describe(span, message["status"], Headers(raw=message["headers"]))
                await send(message)

            try:
                await app(scope, receive, note_answer)
            finally:
                route = getattr(scope.get("route"), "path", "") or getattr(scope.get("endpoint"), "__name__", "")
                if route:
                    span.update_name(f"{method} {route}")
                    span.set_attribute("http.route", route)

    @contextmanager
    def _lasting(self, name: str, kind: SpanKind, attributes: Mapping[str, Any], parent: Any = None) -> Iterator[Span]:
        """Make a span that fails as a whole only by what is nobody's everyday: a missing object is not."""
        with self._tracer.start_as_current_span(
            name, parent, kind, attributes, record_exception=False, set_status_on_exception=False
        ) as span:
            try:
                yield span
            except BaseException as error:
                span.set_attribute("error.type", type(error).__name__)
                if not isinstance(error, FLStoreError) or error.status >= 500:
                    span.set_status(StatusCode.ERROR)
                raise


def _describe(span: Span, status: int, headers: Headers) -> None:
    """Say what came of a request, and what it took a backend."""
    span.set_attribute("http.response.status_code", status)
    if status >= 500:
        span.set_status(StatusCode.ERROR)
    for name, header in (("request_id", REQUEST_ID_HEADER), ("work", WORK_HEADER)):
        if text := headers.get(header):
            span.set_attribute(PREFIX + name, text)
