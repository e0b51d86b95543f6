"""A predictor of one model, in process: both protocols, to everybody, and nothing of a deployment."""

import asyncio
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from starlette.types import Message

from flstore_core import codec
from flstore_core.errors import InvalidParameters, InvalidProgram, SchemaMismatch
from manifests import chart
from manifests.generated import ROOT
from services.predictor import standalone
from services.predictor.confined.launch import Launcher
from services.predictor.settings import LEAST_PROGRAM_BYTES, OWN_BYTES, Settings
from services.predictor.standalone import create_app, create_state
from tests.fakes.clock import Clock
from tests.models.gateways import weights
from tests.models.small import output_of
from tests.predictor.processes import launcher
from tests.predictor.standalone.folders import ROWS, fill

MIB = 2**20
INPUT = {"name": "images", "datatype": "FP32", "shape": [2, 4], "data": ROWS.ravel().tolist()}


def state_of(folder: Path, limit: int | None = None, **changes: Any) -> standalone.State:
    return create_state(Settings(model_folder=str(folder), **changes), limit, Clock(), launcher())


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(state_of(fill(tmp_path, model="1:x--Hospital_20B"), model_name="digits"))
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://digits") as client:
        yield client


@pytest.mark.parametrize("version", ["", "/versions/1:x--Hospital_20B"])
async def test_the_open_inference_protocol_answers_what_pytorch_gives(http: httpx.AsyncClient, version: str) -> None:
    answer = (await http.post(f"/v2/models/digits{version}/infer", json={"inputs": [INPUT]})).json()
    assert (answer["model_name"], answer["model_version"]) == ("digits", "1:x--Hospital_20B")
    [output] = answer["outputs"]
    assert np.reshape(output["data"], output["shape"]) == pytest.approx(output_of(13, ROWS), rel=1e-4, abs=1e-5)


async def test_the_older_protocol_answers_the_same(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/models/digits:predict", json={"instances": ROWS.tolist()})
    assert np.array(answer.json()["predictions"]) == pytest.approx(output_of(13, ROWS), rel=1e-4, abs=1e-5)
    assert (await http.get("/v1/models")).json() == {"models": ["digits"]}
    assert (await http.get("/v1/models/digits")).json() == {"name": "digits", "ready": True}


async def test_the_model_is_described_and_ready(http: httpx.AsyncClient) -> None:
    described = (await http.get("/v2/models/digits")).json()
    assert [(each["datatype"], each["shape"]) for each in described["inputs"]] == [("FP32", [-1, 4])]
    assert (await http.get("/v2/models")).json() == {"models": ["digits"]}
    for path in ("/healthz", "/readyz", "/v2/health/live", "/v2/health/ready", "/v2/models/digits/ready"):
        assert (await http.get(path)).status_code == 200, path
    await http.post("/v1/models/digits:predict", json={"instances": ROWS.tolist()})
    assert 'request_predict_seconds_count{model_name="digits"}' in (await http.get("/metrics")).text


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/v2/models/small/infer", {"inputs": [INPUT]}, 404),
        ("POST", "/v1/models/small:predict", {"instances": ROWS.tolist()}, 404),
        ("POST", "/v2/models/digits/versions/2/infer", {"inputs": [INPUT]}, 404),
        ("GET", "/v2/models/digits/versions/2/ready", None, 404),
        ("GET", "/v2/models/digits/versions/2", None, 404),
        ("GET", "/v1/models/small", None, 404),
        ("GET", "/v2/models/small/ready", None, 404),
        ("POST", "/v1/models/digits:predict", {"instances": [[1, 2]]}, 422),
        ("POST", "/v1/models/digits:predict", {"instances": []}, 422),
        ("POST", "/v1/models/digits:predict", ["no", "object"], 422),
        ("POST", "/v1/run", {}, 404),
        ("GET", "/v1/inventory", None, 404),
        ("GET", "/openapi.json", None, 404),
    ],
)
async def test_other_models_and_what_a_deployments_predictor_does_are_not_there(
    http: httpx.AsyncClient, method: str, path: str, body: Any, status: int
) -> None:
    answer = await http.request(method, path, json=body)
    assert answer.status_code == status, answer.text


@pytest.mark.parametrize("path", ["/v1/models/small:predict", "/v2/models/small/infer"])
@pytest.mark.parametrize("says_its_length", [True, False])
async def test_a_body_that_is_too_long_is_refused(tmp_path: Path, path: str, says_its_length: bool) -> None:
    app = create_app(state_of(fill(tmp_path), run_bytes=8 * 1000))
    body = b" " * 1001

    async def pieces() -> AsyncIterator[bytes]:
        yield body

    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://small") as http:
        answer = await http.post(path, content=body if says_its_length else pieces())
        assert answer.status_code in ((413,) if says_its_length else (413, 400))
        assert answer.headers["content-type"] == "application/problem+json"
        assert (await http.post(path, content=b" " * 1000)).status_code in (400, 422)


async def test_the_processes_of_programs_begin_and_end_with_the_application(tmp_path: Path) -> None:
    state = create_state(Settings(model_folder=str(fill(tmp_path))), None, Clock(), Launcher())
    asked, told = asyncio.Queue[Message](), asyncio.Queue[Message]()
    serving = asyncio.create_task(create_app(state)({"type": "lifespan", "state": {}}, asked.get, told.put))
    await asked.put({"type": "lifespan.startup"})
    assert await told.get() == {"type": "lifespan.startup.complete"}
    state.versions.load()
    await asked.put({"type": "lifespan.shutdown"})
    assert await told.get() == {"type": "lifespan.shutdown.complete"}
    await serving
    assert state.processes._launcher._running is None


def test_the_model_goes_by_the_name_of_its_job_unless_it_is_given_another(tmp_path: Path) -> None:
    assert state_of(fill(tmp_path)).versions.jobs() == ["small"]
    assert state_of(tmp_path, model_name="digits").versions.jobs() == ["digits"]


def test_a_program_that_does_not_run_or_does_not_fit_ends_the_start(tmp_path: Path) -> None:
    with pytest.raises(InvalidProgram):
        state_of(fill(tmp_path, archive=b"no program")).versions.load()
    others = codec.dumps({name: np.zeros((7, 7), np.float32) for name in weights(13)})
    with pytest.raises(SchemaMismatch):
        state_of(fill(tmp_path, body=others)).versions.load()
    state_of(fill(tmp_path)).versions.load()


@pytest.mark.parametrize(
    ("memory_bytes", "limit", "expected"),
    [(0, None, 0), (0, 2**30, int(0.9 * 2**30)), (700 * MIB, 2**30, 700 * MIB), (700 * MIB, None, 700 * MIB)],
)
def test_it_keeps_to_its_share_of_the_containers_memory(
    tmp_path: Path, memory_bytes: int, limit: int | None, expected: int
) -> None:
    settings = state_of(fill(tmp_path), limit, memory_bytes=memory_bytes, run_bytes=600 * MIB).settings
    assert settings.memory_bytes == expected
    assert settings.run_bytes == (min(600 * MIB, settings.program_bytes) if expected else 600 * MIB)
    assert settings.cache_bytes < 2**20, "what the model takes"


def test_a_model_that_the_container_cannot_hold_is_refused_with_the_numbers(tmp_path: Path) -> None:
    least = OWN_BYTES + LEAST_PROGRAM_BYTES
    with pytest.raises(InvalidParameters, match=r"with the predictor and its program 576\.0 MiB, and there are 576"):
        state_of(fill(tmp_path), memory_bytes=least, run_bytes=MIB)


def test_the_charts_default_holds_models_as_large_as_its_page_says() -> None:
    assert "hold models of up to 1.2 GiB" in (ROOT / "docs/kserve.md").read_text().replace("\n", " ")
    [limit] = re.findall(r"kserve:.*?limits: {memory: (\d+)Gi}", (chart.CHART / "values.yaml").read_text(), re.DOTALL)[
        :1
    ]
    Settings().holding(int(1.2 * 2**30), int(limit) * 2**30)
    with pytest.raises(InvalidParameters):
        Settings().holding(int(1.3 * 2**30), int(limit) * 2**30)


def test_a_name_without_a_folder_is_warned_about() -> None:
    [warning] = Settings(model_name="digits").warnings()
    assert warning.startswith("FLSTORE_MODEL_NAME has no effect without FLSTORE_MODEL_FOLDER")
    assert list(Settings(model_name="digits", model_folder="models").warnings()) == []
