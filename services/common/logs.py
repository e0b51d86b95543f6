"""Writes logs to stderr as JSON, one object a line. Each line carries the id of the request that it belongs to."""

import json
import logging
import re
import sys
import time
import uuid
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from itertools import chain
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from flstore_core.environment import misspelt
from services.common.settings import log_level, read

REQUEST_ID_HEADER = "X-Request-Id"
QUIET_PATHS = frozenset({"/healthz", "/readyz", "/metrics"})
"""Machines ask for these all the time, so their access lines are logged at DEBUG only."""

logger = logging.getLogger(__name__)
_access = logging.getLogger("flstore.access")
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_USABLE_ID = re.compile(r"[A-Za-z0-9._:/+=-]{1,128}")
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName", "color_message"}


def current_request_id() -> str:
    """Return the id of the request that this code runs for, to log it or to send it on; "" outside of a request."""
    return _request_id.get()


def configure(service: str, level: str = "INFO") -> None:
    """Send all logging of this process to stderr as JSON lines that name `service`."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter(service))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "urllib3", "uvicorn"):
        logging.getLogger(noisy).setLevel("WARNING")


def begin(service: str, env: Mapping[str, str], warnings: Iterable[str] = ()) -> None:
    """Log as the environment says, and warn of settings that are misspelt, or as `warnings` say, if nobody has yet.

    A process that has a parent, as below `flstore up`, does not warn: its parent has done so.

    Raises:
        InvalidParameters: if FLSTORE_LOG_LEVEL is no level.
    """
    configure(service, level_from(env))
    for warning in () if env.get("FLSTORE_LIFELINE_FD") else chain(misspelt(env), warnings):
        logger.warning(warning)


def level_from(env: Mapping[str, str]) -> str:
    """Return FLSTORE_LOG_LEVEL; raise `InvalidParameters` if it is no level."""
    values: dict[str, str] = {"level": "INFO", **read(env, {"FLSTORE_LOG_LEVEL": ("level", log_level)})}
    return values["level"]


class JsonFormatter(logging.Formatter):
    """One line: time, level, service, logger, message, request id, the fields given as `extra`, the traceback."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self._service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z",
            "level": record.levelname.lower(),
            "service": self._service,
            "logger": record.name,
            "message": record.getMessage(),
        }
        if request_id := current_request_id():
            line["request_id"] = request_id
        line |= {name: value for name, value in record.__dict__.items() if name not in _STANDARD}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


class RequestLog:
    """ASGI middleware: takes or makes the request id, sends it back, and logs one line when the answer has gone out.

    Put it first in the list of middleware. The id stays set for the rest of the request's task. So a problem that is
    made outside of this middleware still carries it, and so does the server's own log of a traceback.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _accepted(Headers(scope=scope).get(REQUEST_ID_HEADER, ""))
        _request_id.set(request_id)
        status, started = 500, time.perf_counter()

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[REQUEST_ID_HEADER] = request_id
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            _log_access(scope, status, time.perf_counter() - started)


def _accepted(header: str) -> str:
    """Return a caller's request id, or a new one if there is none or it could forge a line of the log."""
    return header if _USABLE_ID.fullmatch(header) else uuid.uuid4().hex


def _log_access(scope: Scope, status: int, seconds: float) -> None:
    level = logging.DEBUG if scope["path"] in QUIET_PATHS else logging.INFO
    if _access.isEnabledFor(level):
        fields = {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(1e3 * seconds, 3)}
        _access.log(level, "%s %s %d", scope["method"], scope["path"], status, extra=fields)
