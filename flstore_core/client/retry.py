"""When a request is repeated, and how long the client waits before."""

from dataclasses import replace

from flstore_core.client.exchange import Exchange, NoResponse, Request, Response
from flstore_core.client.problems import error_from, flaw_in
from flstore_core.errors import InvalidParameters
from flstore_core.retry import Retry, growing

LONGEST_RETRY_AFTER_S = 60.0
"""Longest wait that a server's Retry-After header may ask for."""


def retry_for(retries: int) -> Retry:
    """Return how the client repeats a request: at most `retries` times, after pauses of 0.2 s, 0.4 s, … up to 5 s.

    Chance shortens each pause by up to a half.
    """
    if not isinstance(retries, int) or retries < 0:
        raise InvalidParameters(f"retries is {retries!r:.40}; pass a whole number, 0 for none")
    return Retry(growing(0.2, 5.0), jitter=0.5, attempts=retries + 1)


def send(request: Request, retry: Retry) -> Exchange[Response]:
    """Send `request` until it succeeds, another attempt cannot help, or `retry` gives up.

    What something other than a gateway answers, such as an ingress, is no success, whatever its status.
    Every request of the API may be repeated safely. A server that keeps silent until the timeout is not asked again:
    it may still work on the first request, and the caller has waited long enough.

    Raises:
        FLStoreError: that of the last attempt; its extension `attempts` is the number of attempts.
    """
    attempts = retry.begin()
    while True:
        outcome = yield request
        if isinstance(outcome, Response) and outcome.is_success:
            if (error := flaw_in(outcome)) is None:
                return outcome
        else:
            error = error_from(outcome)
        again = attempts.failed(_retry_after_s(outcome))
        error.extensions["attempts"] = attempts.failures
        if not again or not error.retryable or _is_silence(outcome):
            raise error
        request = replace(request, delay_s=attempts.pause_s)


def _is_silence(outcome: Response | NoResponse) -> bool:
    return isinstance(outcome, NoResponse) and outcome.timed_out


def _retry_after_s(outcome: Response | NoResponse) -> float:
    """Return the seconds that Retry-After asks for, within reason; 0 if it is absent or a date."""
    text = outcome.headers.get("retry-after", "") if isinstance(outcome, Response) else ""
    return min(float(text), LONGEST_RETRY_AFTER_S) if text.isascii() and text.isdigit() else 0.0
