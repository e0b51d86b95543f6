"""A predictor's part of a trace."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from services.common.opentelemetry import OpenTelemetry
from services.common.tracing import tracing
from services.predictor import standalone
from services.predictor.settings import Settings
from tests.fakes.clock import Clock
from tests.predictor.predictors import Predictor
from tests.predictor.processes import launcher
from tests.predictor.standalone.folders import fill

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"


def of_a_store(_: Path) -> httpx.AsyncClient:
    return Predictor().http


def of_a_folder(folder: Path) -> httpx.AsyncClient:
    settings = Settings(model_folder=str(fill(folder)))
    app = standalone.create_app(standalone.create_state(settings, None, Clock(), launcher()))
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://small")


@pytest.mark.parametrize("predictor", [of_a_store, of_a_folder])
async def test_a_request_of_a_predictor_is_part_of_its_callers_trace(
    tmp_path: Path, predictor: Callable[[Path], httpx.AsyncClient]
) -> None:
    kept, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(kept))
    with tracing(OpenTelemetry(provider)):
        async with predictor(tmp_path) as http:
            await http.get("/v2/models/nobody", headers={"traceparent": f"00-{TRACE}-{CALLER}-01"})
    [span] = [span for span in kept.get_finished_spans() if span.name.startswith("GET")]
    assert span.context
    assert span.parent
    assert (f"{span.context.trace_id:032x}", f"{span.parent.span_id:016x}") == (TRACE, CALLER)
