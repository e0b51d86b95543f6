"""Logs are one JSON object a line, each under the id of its request."""

import json
import logging
import sys
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import Message

from flstore_core.errors import InvalidParameters
from services.common import logs
from services.common.logs import JsonFormatter, RequestLog, current_request_id


def record(message: str = "m", level: int = logging.INFO, **extra: Any) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"name": "flstore.x", "msg": message, "levelno": level, "levelname": logging.getLevelName(level)}
    )
    made.__dict__.update(extra)
    return made


def line(made: logging.LogRecord) -> dict[str, Any]:
    text = JsonFormatter("shard-0").format(made)
    assert "\n" not in text
    parsed: dict[str, Any] = json.loads(text)
    return parsed


@pytest.fixture
def root_logger() -> Iterator[logging.Logger]:
    """The root logger, put back afterwards as it was."""
    root = logging.getLogger()
    noisy = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "urllib3", "uvicorn")}
    handlers, level = root.handlers[:], root.level
    yield root
    root.handlers, root.level = handlers, level
    root.setLevel(level)
    for name, before in noisy.items():
        logging.getLogger(name).setLevel(before)


def test_a_line_has_time_level_service_logger_and_message() -> None:
    made = record("hello", created=1_700_000_000.25, msecs=250.7)
    assert line(made) == {
        "time": "2023-11-14T22:13:20.250Z",
        "level": "info",
        "service": "shard-0",
        "logger": "flstore.x",
        "message": "hello",
    }


def test_extras_become_fields_and_what_json_lacks_becomes_text() -> None:
    fields = line(record(count=3, path={"a": 1}, error=ValueError("v")))
    assert (fields["count"], fields["path"], fields["error"]) == (3, {"a": 1}, "v")


def test_arguments_are_put_into_the_message() -> None:
    made = logging.LogRecord("l", logging.WARNING, "f", 1, "%s has %d", ("x", 2), None)
    assert line(made)["message"] == "x has 2"
    assert line(made)["level"] == "warning"


def test_a_traceback_stays_on_the_line() -> None:
    try:
        raise ZeroDivisionError("inner")
    except ZeroDivisionError:
        made = record("failed", exc_info=sys.exc_info())
    exception = line(made)["exception"]
    assert exception.startswith("Traceback")
    assert exception.endswith("ZeroDivisionError: inner")


@given(st.text())
def test_any_message_is_one_line_and_comes_back(message: str) -> None:
    assert line(record("%s", args=(message,)))["message"] == message


def test_configuring_replaces_handlers_and_quietens_libraries(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.configure("gateway", "WARNING")
    logs.configure("gateway", "INFO")
    assert len(root_logger.handlers) == 1
    logging.getLogger("urllib3.connectionpool").info("noise")
    logging.getLogger("flstore.y").info("news")
    (text,) = capsys.readouterr().err.splitlines()
    assert (json.loads(text)["service"], json.loads(text)["message"]) == ("gateway", "news")


async def answer(request: Request) -> Response:
    logging.getLogger("flstore.inner").info("inside")
    return PlainTextResponse(current_request_id())


async def crash(_: Request) -> Response:
    raise ZeroDivisionError


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    routes = [Route(path, answer) for path in ("/x", "/healthz", "/readyz", "/metrics")] + [Route("/crash", crash)]
    app = Starlette(routes=routes, middleware=[Middleware(RequestLog)])
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://t") as http:
        yield http


@pytest.mark.parametrize("request_id", ["r-1", "a/b:c+d=e._-", "x" * 128])
async def test_a_usable_id_is_kept_and_sent_back(client: httpx.AsyncClient, request_id: str) -> None:
    reply = await client.get("/x", headers={"X-Request-Id": request_id})
    assert reply.text == reply.headers["x-request-id"] == request_id


@pytest.mark.parametrize("request_id", ["", "x" * 129, "a b", "a\tb", "{}", "<script>"])
async def test_an_unusable_id_is_replaced_by_a_new_one(client: httpx.AsyncClient, request_id: str) -> None:
    reply = await client.get("/x", headers={"X-Request-Id": request_id})
    assert reply.text == reply.headers["x-request-id"] != request_id
    assert len(reply.text) == 32


async def test_every_answer_is_logged_once_with_its_status(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await client.get("/x")
    await client.get("/nothing")
    await client.get("/crash")
    access: list[Any] = [each for each in caplog.records if each.name == "flstore.access"]
    assert [(each.method, each.path, each.status) for each in access] == [
        ("GET", "/x", 200),
        ("GET", "/nothing", 404),
        ("GET", "/crash", 500),
    ]
    assert all(each.ms >= 0 for each in access)


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_what_machines_ask_all_the_time_is_logged_for_debugging_only(
    client: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    caplog.set_level(logging.INFO)
    await client.get(path)
    assert not [each for each in caplog.records if each.name == "flstore.access"]
    caplog.set_level(logging.DEBUG)
    await client.get(path)
    assert [each.levelname for each in caplog.records if each.name == "flstore.access"] == ["DEBUG"]


async def test_lines_of_one_request_bear_its_id_and_no_others() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(line(record())["request_id"])

    async def nothing(message: Message | None = None) -> Any:
        return None

    assert "request_id" not in line(record())
    for name in ("one", "two"):
        scope = {"type": "http", "method": "GET", "path": "/", "headers": [(b"x-request-id", name.encode())]}
        await RequestLog(app)(scope, nothing, nothing)
    assert seen == ["one", "two"]


async def test_what_is_no_http_passes_through() -> None:
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["type"])

    async def nothing(message: Message | None = None) -> Any:
        return None

    await RequestLog(app)({"type": "lifespan"}, nothing, nothing)
    assert seen == ["lifespan"]


@pytest.mark.parametrize(("env", "level"), [({}, "INFO"), ({"FLSTORE_LOG_LEVEL": "debug"}, "DEBUG")])
def test_the_environment_sets_the_level(root_logger: logging.Logger, env: dict[str, str], level: str) -> None:
    logs.begin("shard-0", env)
    assert logging.getLevelName(root_logger.level) == level


def test_a_level_that_is_none_is_refused() -> None:
    with pytest.raises(InvalidParameters, match="FLSTORE_LOG_LEVEL: 'LOUD' is not usable; use one of DEBUG, INFO"):
        logs.begin("shard-0", {"FLSTORE_LOG_LEVEL": "loud"})


def test_a_misspelt_setting_is_warned_about_unless_the_parent_has(
    root_logger: logging.Logger, capsys: pytest.CaptureFixture[str]
) -> None:
    logs.begin("shard-0", {"FLSTORE_POLCY": "lru", "FLSTORE_LIFELINE_FD": "9"})
    assert capsys.readouterr().err == ""
    logs.begin("shard-0", {"FLSTORE_POLCY": "lru"})
    said = json.loads(capsys.readouterr().err)
    assert said["message"] == "FLSTORE_POLCY is no setting of FLStore; nearest: FLSTORE_POLICY"
