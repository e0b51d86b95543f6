"""One request through running services is one trace at a collector, from the gateway to the store."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.common.collector import Collector, collector
from tests.gateway.system.conftest import SETTINGS
from tests.running.jobs import JobOverHttp, body, create
from tests.running.processes import System, system
from tests.servers import free_ports
from tests.waiting import DEADLINE_S, eventually

TRACE, CALLER = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{CALLER}-01"}


@pytest.fixture(scope="module")
def collected() -> Iterator[Collector]:
    with collector() as it:
        yield it


@pytest.fixture(scope="module")
def traced(collected: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A whole FLStore whose services send their spans to the collector."""
    folder = tmp_path_factory.mktemp("traced")
    with system(str(folder / "store"), folder, {}, {**SETTINGS, **collected.env}) as running:
        yield running


def filled(traced: System) -> JobOverHttp:
    """Return a job of one committed round whose slices no shard has in memory any more."""
    job = create(traced.http, slices=2)
    job.fill(0, 4)
    job.commit(0)
    for shard in traced.shards():
        if shard["pid"]:
            os.kill(shard["pid"], signal.SIGKILL)
    return job


def test_a_question_is_one_trace_from_the_gateway_over_a_shard_to_the_store(
    traced: System, collected: Collector
) -> None:
    job = filled(traced)
    params = {"method": "median", "round": 0}
    answer = traced.http.post(f"{job.url}/workloads/aggregate", json=params, headers=TRACEPARENT)
    assert answer.status_code == 200, answer.text
    top, shard = "flstore-gateway POST /v1/jobs/{job}/workloads/{name}", "flstore-shard POST /v1/map"

    def in_trace() -> dict[str, list[str]]:
        spans = [span for span in list(collected.spans) if span.trace == TRACE]
        return {f"{span.service} {span.name}": collected.parents(span) for span in spans}

    read = "flstore-shard store read_into"
    eventually(lambda: {top, shard, read} <= in_trace().keys() and in_trace()[read][-1:] == [top])
    found = in_trace()
    assert found[top] == []
    assert found[shard] == ["flstore-gateway call POST", "flstore-gateway stage map", top]
    assert found[read] == [shard, *found[shard]]
    assert found["flstore-gateway stage combine"] == [top]
    assert found["flstore-gateway store put"] == ["flstore-gateway stage combine", top]
    asked = next(span for span in collected.spans if span.trace == TRACE and span.name == top.partition(" ")[2])
    assert asked.parent == CALLER
    assert asked.attributes["flstore.request_id"] == answer.headers["x-request-id"]
    works = [span.attributes["flstore.work"] for span in collected.spans if span.name == "POST /v1/map"]
    assert all("misses" in work for work in works)
    assert {span.service for span in collected.spans} == {"flstore-gateway", "flstore-shard"}


def test_an_upload_is_a_trace_of_its_own_with_its_slices(traced: System, collected: Collector) -> None:
    job = create(traced.http)
    job.put(0, "c0", body(1))
    top = "flstore-gateway PUT /v1/jobs/{job}/rounds/{round}/clients/{client}"

    def found() -> list[list[str]]:
        spans = [each for each in list(collected.spans) if each.name == "PUT /v1/slices"]
        return [collected.parents(each) for each in spans]

    eventually(lambda: ["flstore-gateway call PUT", top] in found())


def test_a_collector_that_is_away_keeps_nobody_from_an_answer_or_from_leaving(tmp_path: Path) -> None:
    away = {"OTEL_EXPORTER_OTLP_ENDPOINT": f"http://127.0.0.1:{free_ports(1)[0]}", "OTEL_BSP_SCHEDULE_DELAY": "20"}
    with system(str(tmp_path / "store"), tmp_path, {}, {**SETTINGS, **away}) as running:
        job = create(running.http)
        job.fill(0, 2)
        assert job.run("cosine-similarity", round=0).status_code == 200
        running.gateway.process.terminate()
        assert running.gateway.process.wait(DEADLINE_S) == 0
