"""Rebuild an error from an unsuccessful response, or make one for a request that got no response.

Between client and gateway there may be an ingress, and at a mistyped URL another server: what they answer is no answer
of FLStore, though its status may be 200. Such an answer is worth another attempt, since an ingress answers in the place
of a gateway that it has lost for a moment. What it decides by itself, such as the size of a body, is final.
"""

from flstore_core.client.exchange import NoResponse, Response
from flstore_core.errors import (
    FLStoreError,
    Forbidden,
    ForeignAnswer,
    TooLarge,
    Unauthorized,
    Unavailable,
    foreign_answer,
    from_response,
)

NO_CONTENT, PARTIAL_CONTENT = 204, 206
JSON, BINARY = "application/json", "application/octet-stream"
"""Types of the gateway's good answers, as far as this client asks for them."""

FINAL = {error.status: error for error in (Unauthorized, Forbidden, TooLarge)}
"""What something in between decides by itself, and would decide again."""


def error_from(outcome: Response | NoResponse) -> FLStoreError:
    """Return the error that an unsuccessful outcome stands for; see `flstore_core.errors.from_response`."""
    return _error_without_response(outcome) if isinstance(outcome, NoResponse) else _error_in(outcome)


def flaw_in(response: Response) -> FLStoreError | None:
    """Return the error for a response of a good status that is none of a gateway, or not a whole one."""
    if why := _why_flawed(response):
        shown = foreign_answer(response.status, response.body, response.headers).detail
        return Unavailable(f"{shown} ({why}); is this FLStore's URL?")
    return None


def _why_flawed(response: Response) -> str:
    if not response.body:
        return "" if response.status == NO_CONTENT else "without a body"
    if response.media_type == JSON:
        return "" if response.is_json else "which is not JSON"
    is_whole = response.status != PARTIAL_CONTENT  # the ETag of a part is the hash of the whole
    if response.media_type == BINARY and is_whole and not response.has_its_digest:
        return f"with the SHA-256 {response.sha256} and not {response.digest}"
    return "" if response.media_type in ("", BINARY) else f"which is {response.media_type[:40]}"


def _error_in(response: Response) -> FLStoreError:
    error = from_response(response.status, response.body, response.headers)
    if isinstance(error, ForeignAnswer):
        error = FINAL.get(response.status, Unavailable)(error.detail)
    if request_id := response.headers.get("x-request-id"):
        error.extensions.setdefault("request_id", request_id)
    return error


def _error_without_response(outcome: NoResponse) -> Unavailable:
    url, reason = outcome.url, outcome.reason
    if outcome.timed_out:
        return Unavailable(f"{url} did not answer in time ({reason}); give a longer timeout", url=url)
    return Unavailable(
        f"no FLStore answers at {url} ({reason}); check the URL, or start one with `flstore up`", url=url
    )
