"""From a problem document (RFC 9457) back to the error it was made of."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from flstore_core.client.wire import Lost, Reply
from flstore_core.errors import (
    Busy,
    Conflict,
    FLStoreError,
    Forbidden,
    NotFound,
    PreconditionFailed,
    TooLarge,
    Unauthorized,
    Unavailable,
)

_OWN_FIELDS = {"type", "title", "status", "detail", "code"}

_BY_STATUS: Mapping[int, type[FLStoreError]] = {
    error.status: error
    for error in (Unauthorized, Forbidden, NotFound, Conflict, PreconditionFailed, TooLarge, Busy, Unavailable)
} | {502: Unavailable, 504: Unavailable}
"""For answers that are no problem documents: those of a proxy in between."""


def error_of(reply: Reply) -> FLStoreError:
    """Return the error a reply stands for: by its code, or by its status where the code says nothing."""
    problem = _document(reply.body)
    text = problem.get("detail") or f"the server answered {reply.status} {reply.body[:200].decode(errors='replace')}"
    error = error_from_problem({"status": reply.status, "detail": text, **problem})
    if request_id := reply.headers.get("x-request-id"):
        error.extensions.setdefault("request_id", request_id)
    return error


def error_from_problem(problem: Mapping[str, Any]) -> FLStoreError:
    """Return the error that a problem document describes, with its further fields as extensions."""
    kind = _by_code().get(str(problem.get("code"))) or _BY_STATUS.get(problem.get("status", 500), FLStoreError)
    error = kind(str(problem.get("detail") or problem.get("title") or "no detail was given"))
    error.extensions.update({name: value for name, value in problem.items() if name not in _OWN_FIELDS})
    return error


def error_of_loss(lost: Lost) -> Unavailable:
    """Return the error for a request that had no answer."""
    if lost.timed_out:
        return Unavailable(f"{lost.url} did not answer in time ({lost.reason}); give a longer timeout", url=lost.url)
    return Unavailable(
        f"no FLStore answers at {lost.url} ({lost.reason}); check the URL, or start one with `flstore up`", url=lost.url
    )


def _document(body: bytearray) -> Mapping[str, Any]:
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _by_code() -> Mapping[str, type[FLStoreError]]:
    return {error.code: error for error in _tree(FLStoreError)}


def _tree(root: type[FLStoreError]) -> Iterator[type[FLStoreError]]:
    yield root
    for child in root.__subclasses__():
        yield from _tree(child)
