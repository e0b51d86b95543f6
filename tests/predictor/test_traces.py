"""A predictor's part of a trace."""

from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common.opentelemetry import OpenTelemetry
from services.common.tracing import tracing
from tests.predictor.predictors import Predictor

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


async def test_a_request_of_a_predictor_is_part_of_its_callers_trace() -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with tracing(OpenTelemetry(provider)):
        predictor = Predictor()
        await predictor.http.get("/v2/models/nobody", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    [span] = [span for span in kept.get_finished_spans() if span.name.startswith("GET")]
    assert span.context
    assert span.parent
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, CALLER)
