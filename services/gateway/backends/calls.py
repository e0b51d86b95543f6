"""HTTP calls of backends, repeated until one is answered.

All that a backend holds is soft state, so a call that broke off can be repeated. A backend may be at zero, or be
replaced at this moment; the pauses leave it time for both.

One *turn* of a call asks each of the backends that could answer, in order of preference.

Example: a slice has two shards, A and B, and A was just killed. The call goes to A, which refuses the connection, and
at once to B, which answers: no time is lost. If B is gone too, the next turns begin after pauses of 0.05 s, 0.2 s, …
"""

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
import urllib3
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError

from flstore_core import buffers
from flstore_core.errors import BackendSilent, FLStoreError, ProofRefused, StoreUnavailable, Unavailable, from_response
from flstore_core.retry import Retry
from flstore_core.shard.protocol import MESSAGE_HEADER, WORK_HEADER, Work
from services.common.logs import REQUEST_ID_HEADER, current_request_id
from services.common.proof import Keys
from services.common.timing import Time
from services.gateway.backends.circuits import Circuits

T = TypeVar("T")

CHUNK = 2**20
"""Bytes of a long answer that are read at once."""
PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0, 2.0)
"""Seconds between the turns of a call. A killed shard has been replaced long before the last turn."""


class Calls:
    """Calls backends by their address. Safe to share between threads.

    Args:
        timeout_s: seconds that one request may take, a cold start included. A turn that would begin later than this
            after the call did is not begun.
        http: makes single requests; by default one that keeps connections open.
        keys: the first one signs every attempt.
    """

    def __init__(
        self, timeout_s: float, time: Time, http: urllib3.PoolManager | None = None, keys: Keys | None = None
    ) -> None:
        timeout = urllib3.Timeout(timeout_s)
        self._http = http or urllib3.PoolManager(num_pools=64, maxsize=32, retries=False, timeout=timeout)
        self._keys = keys or Keys()
        self._circuits = Circuits(time.monotonic)
        self._retry = Retry(
            PAUSES_S, attempts=len(PAUSES_S) + 1, give_up_s=timeout_s, clock=time.monotonic, sleep=time.sleep
        )

    def send(
        self,
        method: str,
        urls: Sequence[str],
        path: str,
        read: Callable[[BaseHTTPResponse], T],
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes | list[memoryview] = b"",
    ) -> T:
        """Return what `read` makes of the first good response.

        Args:
            body: the whole body, or its consecutive pieces; with pieces, `headers` have to say the length.

        Raises:
            FLStoreError: what a backend answered, if a retry cannot help or would begin too late.
            BackendSilent: after one turn, if the last of `urls` is silent and enough calls wait for it already.
            StoreUnavailable: after one turn, because the backend itself has retried for long enough.
            Unavailable: if no backend answers.
        """
        if not urls:
            raise Unavailable(f"no backend is known that could answer {method} {path}")
        headers = {**(headers or {}), REQUEST_ID_HEADER: current_request_id()}
        attempts = self._retry.begin()
        while True:
            cause: Exception | None = None
            for url in urls:
                try:
                    with self._circuits.call(url):
                        return read(self._request(method, url, path, headers, body))
                except (HTTPError, FLStoreError) as error:
                    if isinstance(error, FLStoreError) and not error.retryable:
                        raise
                    cause = error
            if isinstance(cause, StoreUnavailable | BackendSilent) or not attempts.failed():
                break
            attempts.wait()
        if isinstance(cause, ProofRefused):
            raise unproven(", ".join(urls), cause)
        if isinstance(cause, FLStoreError):
            raise cause
        raise Unavailable(f"{', '.join(urls)} does not answer {method} {path}") from cause

    def close(self) -> None:
        self._http.clear()

    def _request(
        self, method: str, url: str, path: str, headers: Mapping[str, str], body: bytes | list[memoryview]
    ) -> BaseHTTPResponse:
        """Return a good response, its body not yet read; raise what an error response says."""
        pieces = body if isinstance(body, list) else [body]
        proof = self._keys.sign(method, path, pieces, headers.get(MESSAGE_HEADER, ""))
        sent: Any = body or None  # an iterable of buffers is fine, though not in urllib3's annotations
        response = self._http.request(
            method, url + path, headers={**headers, **proof}, body=sent, preload_content=False
        )
        if response.status >= 400:
            raise from_response(response.status, response.data)
        return response


def unproven(address: str, refused: ProofRefused) -> Unavailable:
    """Return the error for our own caller when another service refused this gateway's proof."""
    error = Unavailable(f"{address} does not accept this gateway as one of its deployment: {refused.detail}")
    error.__cause__ = refused
    return error


def encode(message: Any) -> bytes:
    """Return a message as JSON."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def read_whole(response: BaseHTTPResponse) -> bytes:
    """Return a response's body."""
    return response.data


def read_answer(response: BaseHTTPResponse) -> tuple[bytes, Work]:
    """Return a response's body, and the work that it took the backend."""
    return response.data, Work.from_header(response.headers[WORK_HEADER])


def read_into_buffer(response: BaseHTTPResponse) -> tuple[memoryview, Work]:
    """As `read_answer`, for long bodies, which are received into memory that later answers use again."""
    body: memoryview = buffers.empty(int(response.headers["Content-Length"]), np.uint8).data
    received = 0
    for chunk in response.stream(CHUNK):
        body[received : received + len(chunk)] = chunk
        received += len(chunk)
    return body, Work.from_header(response.headers[WORK_HEADER])
