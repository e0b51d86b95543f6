"""What a stranger sends to an open server: the request's fault is answered as that, whatever it is."""

import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

from services.predictor.settings import Settings
from services.predictor.standalone import create_app, create_state
from tests.fakes.clock import Clock
from tests.predictor.processes import launcher
from tests.predictor.standalone.folders import fill

V1, V2 = "/v1/models/small:predict", "/v2/models/small/infer"
LENGTH = "inference-header-content-length"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> FastAPI:
    folder = fill(tmp_path_factory.mktemp("models"))
    return create_app(create_state(Settings(model_folder=str(folder)), None, Clock(), launcher()))


@pytest.fixture
async def http(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://small") as client:
        yield client


def tensor(**changes: Any) -> dict[str, Any]:
    return {"name": "images", "datatype": "FP32", "shape": [2, 4], "data": [0.0] * 8, **changes}


@pytest.mark.parametrize(
    "changes",
    [
        {"data": [1.0]},
        {"data": [[0.0] * 4, [0.0]]},
        {"data": ["a"] * 8},
        {"data": [{}] * 8},
        {"datatype": "FP33"},
        {"datatype": "BYTES", "data": ["a"] * 8},
        {"datatype": "INT8", "data": [1000] * 8},
        {"datatype": "UINT64", "data": [-1] * 8},
        {"datatype": "FP16"},
        {"datatype": None},
        {"shape": [-2, -4]},
        {"shape": [2**40, 4]},
        {"shape": [2**70]},
        {"shape": [0, 4], "data": []},
        {"shape": "2x4"},
        {"shape": []},
        {"name": 7},
    ],
)
async def test_a_tensor_that_is_none_is_the_callers_fault(http: httpx.AsyncClient, changes: dict[str, Any]) -> None:
    answer = await http.post(V2, json={"inputs": [tensor(**changes)]})
    assert answer.status_code in (400, 422), answer.text


BINARY = json.dumps(
    {"inputs": [{"name": "i", "shape": [2, 4], "datatype": "FP32", "parameters": {"binary_data_size": 32}}]}
).encode()


@pytest.mark.parametrize(
    ("body", "length"),
    [
        (b"\xff\x00", None),
        (b"\xff\x00", "2"),
        (b"{}", "2"),
        (b"{}", "two"),
        (b"{}", "99"),
        (b"{}", "-1"),
        (b"[]", "2"),
        (b"null", "4"),
        (BINARY, str(len(BINARY))),
        (BINARY + bytes(31), str(len(BINARY))),
        (BINARY.replace(b"32", b"-8") + bytes(32), str(len(BINARY))),
        (BINARY.replace(b"32", b'"') + bytes(32), str(len(BINARY) - 1)),
        (BINARY.replace(b"FP32", b"XX32") + bytes(32), str(len(BINARY))),
    ],
)
async def test_bytes_that_are_no_request_are_the_callers_fault(
    http: httpx.AsyncClient, body: bytes, length: str | None
) -> None:
    headers = {"content-type": "application/octet-stream", **({LENGTH: length} if length else {})}
    answer = await http.post(V2, content=body, headers=headers)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize("path", [V1, V2])
@pytest.mark.parametrize("body", [b"", b"{", b"[" * 100_000, b"\xff", b"null", b"[]", b"7", b'"instances"', b"{}"])
async def test_text_that_is_no_request_is_the_callers_fault(http: httpx.AsyncClient, path: str, body: bytes) -> None:
    answer = await http.post(path, content=body, headers={"content-type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize(
    "instances",
    ["[[1, 1, 1]]", "[true]", "[[[], [], [], []]]", "[[1, 1, 1, 1], 7]", '["a"]', "[{}]", "[null]", "[[1,2,3,4],[1]]"],
)
async def test_examples_that_are_none_are_the_callers_fault(http: httpx.AsyncClient, instances: str) -> None:
    answer = await http.post(V1, content=f'{{"instances": {instances}}}')
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json"), answer.text


@pytest.mark.parametrize("number", ["1e999", "NaN", "-Infinity"])
async def test_an_answer_that_is_no_number_is_json_too(http: httpx.AsyncClient, number: str) -> None:
    answer = await http.post(V1, content=f'{{"instances": [[{number}, 1, 1, 1]]}}')
    assert answer.status_code == 200
    assert json.loads(answer.text, parse_constant=pytest.fail)["predictions"]
