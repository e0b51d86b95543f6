import json
import logging
from collections.abc import AsyncIterator, Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from flstore_core import errors
from services.common.logs import JsonFormatter, RequestLog, current_request_id
from services.common.problems import exception_handlers


def every_error(root: type[errors.FLStoreError]) -> Iterator[type[errors.FLStoreError]]:
    yield root
    for kind in root.__subclasses__():
        yield from every_error(kind)


ERRORS = {kind.__name__: kind for kind in every_error(errors.FLStoreError) if kind.__module__ == errors.__name__}


async def fail(request: Request) -> Response:
    raise ERRORS[request.path_params["name"]]("what was wrong", tensor="weight", status="never", retry_after=2.5)


async def crash(_: Request) -> Response:
    raise ZeroDivisionError("secret inside")


async def who(_: Request) -> Response:
    return PlainTextResponse(current_request_id())


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    app = Starlette(
        routes=[Route("/fail/{name}", fail), Route("/crash", crash), Route("/who", who), Route("/healthz", who)],
        middleware=[Middleware(RequestLog)],
        exception_handlers=exception_handlers,
    )
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        yield client


@pytest.mark.parametrize("name", ERRORS)
async def test_every_error_becomes_its_problem(client: httpx.AsyncClient, name: str) -> None:
    kind = ERRORS[name]
    answer = await client.get(f"/fail/{name}", headers={"X-Request-Id": "r-1"})
    assert answer.status_code == kind.status
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body.pop("retry_after", 2.5) == 2.5
    assert body == {
        "type": errors.PROBLEM_TYPE + kind.code,
        "title": kind.title,
        "status": kind.status,
        "detail": "what was wrong",
        "code": kind.code,
        "instance": f"/fail/{name}",
        "request_id": "r-1",
        "tensor": "weight",
    }
    assert answer.headers.get("retry-after") == ("3" if kind.retryable else None)


async def test_unauthorized_says_how_to_authorize(client: httpx.AsyncClient) -> None:
    assert (await client.get("/fail/Unauthorized")).headers["www-authenticate"] == "Bearer"


async def test_the_unforeseen_is_a_500_that_shows_nothing_of_the_inside(client: httpx.AsyncClient) -> None:
    answer = await client.get("/crash", headers={"X-Request-Id": "r-2"})
    assert (answer.status_code, answer.json()["code"], answer.json()["request_id"]) == (500, "internal", "r-2")
    assert answer.headers["x-request-id"] == "r-2"
    assert "secret" not in answer.text
    assert "Zero" not in answer.text


async def test_unknown_paths_and_methods_are_problems_too(client: httpx.AsyncClient) -> None:
    assert (await client.get("/nowhere")).json()["code"] == "not-found"
    refused = await client.post("/who")
    assert (refused.status_code, refused.json()["code"]) == (405, "method-not-allowed")
    assert "GET" in refused.headers["allow"]


async def test_a_usable_request_id_is_kept_and_another_is_replaced(client: httpx.AsyncClient) -> None:
    for given in ("abc-1", "00-4bf92f3577b34da6/1:2=_.+"):
        answer = await client.get("/who", headers={"X-Request-Id": given})
        assert answer.text == answer.headers["x-request-id"] == given
    for hostile in ("a b", "x" * 129, '"}', ""):
        answer = await client.get("/who", headers={"X-Request-Id": hostile})
        assert answer.text == answer.headers["x-request-id"] != hostile
        assert len(answer.text) == 32


async def test_each_request_is_logged_once_and_probes_quietly(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "flstore.access"):
        await client.get("/who")
        await client.get("/healthz")
        await client.get("/nowhere")
        await client.get("/crash")
    lines = [record for record in caplog.records if record.name == "flstore.access"]
    assert [line.getMessage() for line in lines] == ["GET /who 200", "GET /nowhere 404", "GET /crash 500"]


def test_a_log_line_is_json_with_its_fields() -> None:
    record = logging.makeLogRecord({"name": "flstore.x", "levelname": "WARNING", "msg": "held %d", "args": (3,)})
    record.shard = "shard-1"
    record.created, record.msecs = 0.25, 250.0
    line = json.loads(JsonFormatter("gateway").format(record))
    assert line == {
        "time": "1970-01-01T00:00:00.250Z",
        "level": "warning",
        "service": "gateway",
        "logger": "flstore.x",
        "message": "held 3",
        "shard": "shard-1",
    }


def test_a_log_line_stays_one_line_with_a_traceback() -> None:
    try:
        raise ValueError("two\nlines")
    except ValueError as error:
        record = logging.makeLogRecord({"msg": "failed", "exc_info": (ValueError, error, error.__traceback__)})
    text = JsonFormatter("shard").format(record)
    assert "\n" not in text
    assert "ValueError: two\nlines" in json.loads(text)["exception"]
