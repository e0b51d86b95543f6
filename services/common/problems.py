"""Turns errors into answers: RFC 9457 problems, `application/problem+json`. No other place does that."""

import json
import math
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from flstore_core.errors import PROBLEM_TYPE, FLStoreError
from flstore_core.ids import ENCODED, decode, readable
from services.common.logs import REQUEST_ID_HEADER, current_request_id

MEDIA_TYPE = "application/problem+json"
RETRY_AFTER_S = 1
"""Seconds a caller is asked to wait when the error names no other `retry_after`."""

CLIENT_CLOSED_REQUEST = 499
"""Status under which an upload that was cut off is logged. Nobody is left to read the answer."""

Handler = Callable[[Request, Any], Coroutine[Any, Any, Response]]


def from_error(request: Request, error: FLStoreError) -> Response:
    """Return the problem that describes `error`, with its extensions and, if a retry can help, `Retry-After`."""
    detail, extensions = _as_given(error)
    headers = {}
    if error.retryable:
        headers["Retry-After"] = str(math.ceil(extensions.pop("retry_after", RETRY_AFTER_S)))
    if error.status == HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status == HTTPStatus.REQUEST_TIMEOUT:
        headers["Connection"] = "close"  # or the connection would wait for the rest of the body
    return problem(request, error.status, error.code, error.title, detail, extensions, headers)


def _as_given(error: FLStoreError) -> tuple[str, dict[str, Any]]:
    """Return what an error says, with clients and jobs under the names that they were given."""
    detail, extensions = readable(error.detail), dict(error.extensions)
    if (nearest := extensions.get("nearest")) and ENCODED in detail:
        for name in nearest:
            detail = detail.replace(name, decode(name))
        extensions["nearest"] = list(map(decode, nearest))
    return detail, extensions


def problem(
    request: Request,
    status: int,
    code: str,
    title: str,
    detail: str,
    extensions: Mapping[str, Any] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return one problem. An extension with the name of a standard field is ignored."""
    request_id = current_request_id()
    body = {
        **(extensions or {}),
        "type": PROBLEM_TYPE + code,
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "instance": request.url.path,
        "request_id": request_id,
    }
    # JSON in ASCII: the text may quote input that UTF-8 cannot encode, such as half of a surrogate pair.
    return Response(json.dumps(body), status, {**(headers or {}), REQUEST_ID_HEADER: request_id}, MEDIA_TYPE)


async def _flstore(request: Request, error: FLStoreError) -> Response:
    return from_error(request, error)


async def _http(request: Request, error: HTTPException) -> Response:
    """Answer a path or method that no route has."""
    phrase = HTTPStatus(error.status_code).phrase
    code = phrase.lower().replace(" ", "-")
    return problem(request, error.status_code, code, phrase, error.detail, headers=error.headers)


async def _disconnect(request: Request, error: ClientDisconnect) -> Response:
    return problem(
        request, CLIENT_CLOSED_REQUEST, "client-closed-request", "The client went away", "The body broke off"
    )


async def _unexpected(request: Request, error: Exception) -> Response:
    """Answer any other exception. The server logs its traceback; the answer reveals nothing of it."""
    detail = "An unexpected error happened; the service's log has it under this request_id"
    return problem(request, 500, FLStoreError.code, FLStoreError.title, detail)


exception_handlers: Mapping[Any, Handler] = {
    FLStoreError: _flstore,
    HTTPException: _http,
    ClientDisconnect: _disconnect,
    Exception: _unexpected,
}
"""For `Starlette(exception_handlers=…)` and FastAPI alike; FastAPI's own validation error is the gateway's to add."""
