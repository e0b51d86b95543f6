"""Traces: what one request did in each service, stage by stage, for whichever tool reads OpenTelemetry.

    gateway  POST /v1/jobs/{job}/workloads/{name}     a *span*: begin, end, and what is said of it
    gateway    stage records
    gateway      store get_with_info
    gateway    stage map
    gateway      call POST /v1/map
    shard          POST /v1/map                       its parent came in the header `traceparent`
    shard            store read_into
    gateway    stage combine

A trace begins at the gateway, or at the caller who sends a `traceparent` (W3C Trace Context). There are spans of
requests alone: what a service does by itself, such as to prefetch, belongs to no trace.

Traces are off unless the environment names a collector, as OpenTelemetry has it (`ENDPOINTS`). Then nothing of
OpenTelemetry is imported, `span` gives everybody the same empty context, and stores and apps are not wrapped. What does
the work otherwise is in `services.common.opentelemetry`.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, Protocol

from starlette.middleware import Middleware
from starlette.types import ASGIApp

from flstore_core.errors import InvalidParameters
from flstore_core.storage import ObjectStore

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
"""The variables that turn traces on."""

PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
HTTP = "http/protobuf"
"""The one protocol that is spoken."""


class Tracer(Protocol):
    """Makes spans."""

    def span(self, name: str, calls: bool, attributes: Mapping[str, Any]) -> AbstractContextManager[object]:
        """Return a context that lasts as long as a span, or an empty one outside of a trace."""

    def headers(self) -> Mapping[str, str]:
        """Return the headers by which the trace goes on in another service."""

    def serve(self, app: ASGIApp) -> ASGIApp:
        """Return an app whose requests are spans."""

    def end(self) -> None:
        """Send what has not been sent yet."""


_NOTHING = nullcontext()
_tracer: Tracer | None = None


def begin(service: str, env: Mapping[str, str], instance: str = "") -> None:
    """Have this process make spans from now on, if `env` names a collector. They carry the service's name.

    Raises:
        InvalidParameters: if the collector is to be spoken to in another way than we do, or OpenTelemetry is missing.
    """
    if is_off(env):
        return
    protocol = next((env[name] for name in PROTOCOLS if env.get(name)), HTTP)
    if protocol != HTTP:
        raise InvalidParameters(f"OTEL_EXPORTER_OTLP_PROTOCOL is {protocol!r:.40}; only {HTTP} is spoken")
    try:
        from services.common.opentelemetry import create_tracer
    except ImportError as error:
        raise InvalidParameters(
            f"{ENDPOINTS[1]} is set, and OpenTelemetry is missing; pip install 'flstore-server[otel]'"
        ) from error
    use(create_tracer(service, instance))


def is_off(env: Mapping[str, str]) -> bool:
    """Return whether an environment asks for no traces."""
    disabled = env.get("OTEL_SDK_DISABLED", "").strip().lower() == "true" or env.get("OTEL_TRACES_EXPORTER") == "none"
    return disabled or not any(env.get(name) for name in ENDPOINTS)


def use(tracer: Tracer | None) -> None:
    """Have `tracer` make this process' spans; None for nobody."""
    global _tracer
    _tracer = tracer


@contextmanager
def tracing(tracer: Tracer) -> Iterator[None]:
    """Have `tracer` make the spans of a block."""
    use(tracer)
    try:
        yield
    finally:
        use(None)
        tracer.end()


def span(name: str, *, calls: bool = False, **attributes: Any) -> AbstractContextManager[object]:
    """Return a context that is a span of the request that this code runs for.

    Args:
        calls: whether it waits for another service.
    """
    return _tracer.span(name, calls, attributes) if _tracer else _NOTHING


def headers() -> Mapping[str, str]:
    """Return what a call of another service carries, so that its spans are part of this trace."""
    return _tracer.headers() if _tracer else {}


def middleware() -> list[Middleware]:
    """Return what makes an app's requests spans, to be put before all other middleware."""
    return [Middleware(_tracer.serve)] if _tracer else []


def watched(store: ObjectStore) -> ObjectStore:
    """Return a store whose operations are spans; itself if traces are off."""
    if _tracer is None:
        return store
    from services.common.watched_store import WatchedStore

    return WatchedStore(store)
