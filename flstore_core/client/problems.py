"""Rebuild an error from a problem+json response, or make one for a request that got no response."""

import json
from collections.abc import Mapping
from typing import Any

from flstore_core.client.exchange import NoResponse, Response
from flstore_core.errors import FLStoreError, Unavailable, from_problem


def error_from(outcome: Response | NoResponse) -> FLStoreError:
    """Return the error that an unsuccessful outcome stands for.

    The problem's code decides its class; without a known code, the status does. The detail is the problem's, or, for a
    response that is no problem (a proxy's page), the status and the first 200 bytes.
    """
    return _error_without_response(outcome) if isinstance(outcome, NoResponse) else _error_in(outcome)


def _error_in(response: Response) -> FLStoreError:
    problem = _problem_in(response.body)
    detail = problem.get("detail") or _excerpt(response)
    error = from_problem({"status": response.status, "detail": detail, **problem})
    if request_id := response.headers.get("x-request-id"):
        error.extensions.setdefault("request_id", request_id)
    return error


def _excerpt(response: Response) -> str:
    return f"the server answered {response.status} {response.body[:200].decode(errors='replace')}"


def _error_without_response(outcome: NoResponse) -> Unavailable:
    url, reason = outcome.url, outcome.reason
    if outcome.timed_out:
        return Unavailable(f"{url} did not answer in time ({reason}); give a longer timeout", url=url)
    return Unavailable(
        f"no FLStore answers at {url} ({reason}); check the URL, or start one with `flstore up`", url=url
    )


def _problem_in(body: bytearray) -> Mapping[str, Any]:
    """Return the JSON object that a body holds; empty if it holds none."""
    try:
        document = json.loads(body)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}
