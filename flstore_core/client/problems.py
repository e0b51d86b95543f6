"""Rebuild an error from an unsuccessful response, or make one for a request that got no response."""

from flstore_core.client.exchange import NoResponse, Response
from flstore_core.errors import FLStoreError, Unavailable, from_response


def error_from(outcome: Response | NoResponse) -> FLStoreError:
    """Return the error that an unsuccessful outcome stands for; see `flstore_core.errors.from_response`."""
    return _error_without_response(outcome) if isinstance(outcome, NoResponse) else _error_in(outcome)


def _error_in(response: Response) -> FLStoreError:
    error = from_response(response.status, response.body)
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
