"""From an answer that is none back to the error it was made of."""

import json
from collections.abc import Mapping
from typing import Any

from flstore_core.client.wire import Lost, Reply
from flstore_core.errors import FLStoreError, Unavailable, from_problem


def error_of(reply: Reply) -> FLStoreError:
    """Return the error a reply stands for: by its code, or by its status where the code says nothing."""
    problem = _document(reply.body)
    text = problem.get("detail") or f"the server answered {reply.status} {reply.body[:200].decode(errors='replace')}"
    error = from_problem({"status": reply.status, "detail": text, **problem})
    if request_id := reply.headers.get("x-request-id"):
        error.extensions.setdefault("request_id", request_id)
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
