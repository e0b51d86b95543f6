"""HTTP calls of backends, repeated until one is answered.

All that a backend holds is soft state, so a call that broke off can be repeated. A backend may be at zero, or be
replaced at this moment; the pauses leave it time for both.

One *turn* of a call asks each of the backends that could answer, in order of preference.

Example: a slice has two shards, A and B, and A was just killed. The call goes to A, which refuses the connection, and
at once to B, which answers: no time is lost. If B is gone too, the next turns begin after pauses of 0.05 s, 0.2 s, …

Between gateway and backend there may be an ingress. While the route of a backend is being remade, it answers itself: a
bare 404, a page in HTML, a redirect. Such an answer says nothing about what was asked for, so it is neither passed on
nor believed, whatever its status: the call is repeated until the route is there.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from http import HTTPStatus
from typing import Any, TypeVar

import numpy as np
import urllib3
from numpy.typing import NDArray
from urllib3 import BaseHTTPResponse
from urllib3.exceptions import HTTPError, NameResolutionError, ProtocolError

from flstore_core import buffers, codec
from flstore_core.errors import (
    BackendSilent,
    FLStoreError,
    ForeignAnswer,
    InvalidTensors,
    ProofRefused,
    StoreUnavailable,
    Unavailable,
    foreign_answer,
    from_response,
)
from flstore_core.retry import Retry
from flstore_core.shard.protocol import MESSAGE_HEADER, WORK_HEADER, Work
from services.common import tracing
from services.common.logs import REQUEST_ID_HEADER, current_request_id
from services.common.proof import Keys
from services.common.startup import AGE_HEADER
from services.common.timing import Time
from services.gateway.backends.circuits import Circuits

T = TypeVar("T")

CHUNK = 2**20
"""Bytes of a long answer that are read at once."""
PAUSES_S = (0.05, 0.2, 0.5, 1.0, 2.0)
"""Seconds between the turns of a call; the last pause repeats."""
TURNS = 7
"""Turns until nobody answers: a killed shard has been replaced long before the last one."""
TURNS_OF_A_ROUTE = 15
"""Turns, over 22 s, while something else answers in a backend's place or its name does not exist yet: a Knative service
that is made anew, with the first pod of its revision, takes longer than a shard that is replaced."""
TURNS_OF_A_DEFECT = 2
"""Turns that a backend may fail by an error that nobody foresaw: the next one may not meet it."""

OWN_RETRIES = (StoreUnavailable, BackendSilent)
"""What ends a call after one turn: a backend or the circuits have waited for long enough."""
GOOD = frozenset({HTTPStatus.OK, HTTPStatus.NO_CONTENT})
"""Statuses of a backend's good answers."""
UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
"""What reading raises where an answer is not the one that a backend gives."""


class Calls:
    """Calls backends by their address. Safe to share between threads.

    Args:
        timeout_s: seconds that one request may take, a cold start included. A turn that would begin later than this
            after the call did is not begun.
        http: makes single requests; by default one that keeps connections open.
        keys: the first one signs every attempt.
        note_age: called with the seconds that an attempt took until its answer began, and the age of the process that
            gave it.
    """

    def __init__(
        self,
        timeout_s: float,
        time: Time,
        http: urllib3.PoolManager | None = None,
        keys: Keys | None = None,
        note_age: Callable[[float, float], None] = lambda *_: None,
    ) -> None:
        timeout = urllib3.Timeout(timeout_s)
        self._http = http or urllib3.PoolManager(num_pools=64, maxsize=32, retries=False, timeout=timeout)
        self._keys = keys or Keys()
        self._time, self._note_age = time, note_age
        self._circuits = Circuits(time.monotonic)
        self._retry = Retry(PAUSES_S, give_up_s=timeout_s, clock=time.monotonic, sleep=time.sleep)

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
        attempts, turns = self._retry.begin(), 0
        while True:
            try:
                return self._turn(method, urls, path, read, headers, body)
            except (HTTPError, FLStoreError) as error:
                if not _may_pass(error):
                    raise
                cause = error
            turns = max(turns, _turns(cause))  # a route that is being made anew refuses connections now and then, too
            if isinstance(cause, OWN_RETRIES) or not attempts.failed() or attempts.failures >= turns:
                raise _final(cause, method, urls, path) from cause
            attempts.wait()

    def close(self) -> None:
        self._http.clear()

    def _turn(
        self,
        method: str,
        urls: Sequence[str],
        path: str,
        read: Callable[[BaseHTTPResponse], T],
        headers: Mapping[str, str],
        body: bytes | list[memoryview],
    ) -> T:
        """Return the first good answer; raise at once what no retry can help, and else why the last one failed."""
        for url in urls[:-1]:
            try:
                return self._ask(method, url, path, read, headers, body)
            except (HTTPError, FLStoreError) as error:
                if not _may_pass(error):
                    raise
        return self._ask(method, urls[-1], path, read, headers, body)

    def _ask(
        self,
        method: str,
        url: str,
        path: str,
        read: Callable[[BaseHTTPResponse], T],
        headers: Mapping[str, str],
        body: bytes | list[memoryview],
    ) -> T:
        with tracing.span(f"call {method}", calls=True, url=url, path=path), self._circuits.call(url):
            response = self._request(method, url, path, {**headers, **tracing.headers()}, body)
            try:
                return read(response)
            except UNREADABLE as error:
                response.close()
                raise foreign_answer(response.status, repr(error).encode(), response.headers) from error

    def _request(
        self, method: str, url: str, path: str, headers: Mapping[str, str], body: bytes | list[memoryview]
    ) -> BaseHTTPResponse:
        """Return a good response, its body not yet read; raise what an error response says."""
        pieces = body if isinstance(body, list) else [body]
        proof = self._keys.sign(method, path, pieces, headers.get(MESSAGE_HEADER, ""))
        sent: Any = body or None  # an iterable of buffers is fine, though not in urllib3's annotations
        began = self._time.monotonic()
        response = self._http.request(
            method, url + path, headers={**headers, **proof}, body=sent, preload_content=False, redirect=False
        )
        if response.status not in GOOD:
            raise from_response(response.status, response.data, response.headers)
        with suppress(KeyError, ValueError):
            self._note_age(self._time.monotonic() - began, float(response.headers[AGE_HEADER]))
        return response


def _may_pass(error: Exception) -> bool:
    """Return whether another attempt may succeed."""
    return not isinstance(error, FLStoreError) or error.retryable or _is_defect(error)


def _is_defect(error: Exception) -> bool:
    """Return whether a backend failed in a way that nobody foresaw: its problem's code is `internal`."""
    return type(error) is FLStoreError


def _turns(cause: Exception) -> int:
    """Return how many turns a call has that failed for this cause."""
    if isinstance(cause, ForeignAnswer | NameResolutionError):
        return TURNS_OF_A_ROUTE
    return TURNS_OF_A_DEFECT if _is_defect(cause) else TURNS


def _final(cause: Exception, method: str, urls: Sequence[str], path: str) -> FLStoreError:
    """Return the error for our own caller after the last turn."""
    addresses = ", ".join(urls)
    if isinstance(cause, ProofRefused):
        return unproven(addresses, cause)
    if isinstance(cause, ForeignAnswer):
        return Unavailable(f"{addresses} does not answer {method} {path}: {cause.detail}")
    if isinstance(cause, FLStoreError) and not _is_defect(cause):
        return cause
    why = f": {cause.detail}" if isinstance(cause, FLStoreError) else ""
    return Unavailable(f"{addresses} does not answer {method} {path}{why}")


def unproven(address: str, refused: ProofRefused) -> Unavailable:
    """Return the error for our own caller when another service refused this gateway's proof."""
    error = Unavailable(f"{address} does not accept this gateway as one of its deployment: {refused.detail}")
    error.__cause__ = refused
    return error


def encode(message: Any) -> bytes:
    """Return a message as JSON."""
    return json.dumps(message, separators=(",", ":"), allow_nan=False).encode()


def read_json(response: BaseHTTPResponse) -> dict[str, Any]:
    """Return the JSON object that an answer is."""
    if response.headers.get("Content-Type", "").partition(";")[0] != "application/json":
        raise ValueError("the answer is not JSON")
    document = json.loads(response.data)
    if not isinstance(document, dict):
        raise TypeError("the answer is no JSON object")
    return document


def read_count(name: str) -> Callable[[BaseHTTPResponse], int]:
    """Return what reads the number of that name in an answer that says no more."""
    return lambda response: int(read_json(response)[name])


def read_nothing(response: BaseHTTPResponse) -> None:
    """Accept an answer without a body."""
    if response.status != HTTPStatus.NO_CONTENT:
        raise ValueError("the answer should have no body")


def read_answer(response: BaseHTTPResponse) -> tuple[bytes, Work]:
    """Return a response's body, and the work that it took the backend."""
    work = Work.from_header(response.headers[WORK_HEADER])
    return response.data, work


def read_into_buffer(response: BaseHTTPResponse) -> tuple[memoryview, Work]:
    """As `read_answer`, for long bodies, which are received into memory that later answers use again."""
    work = Work.from_header(response.headers[WORK_HEADER])
    body: memoryview = buffers.empty(int(response.headers["Content-Length"]), np.uint8).data
    received = 0
    for chunk in response.stream(CHUNK):
        body[received : received + len(chunk)] = chunk
        received += len(chunk)
    if received != len(body):
        raise ProtocolError(f"the answer has {received} of {len(body)} bytes")
    return body, work


def decode(body: bytes | memoryview) -> dict[str, NDArray[Any]]:
    """Return the arrays of a partial; raise `ValueError` if the bytes are none."""
    try:
        return codec.loads(body)[0]
    except InvalidTensors as error:
        raise ValueError(f"the answer is no partial: {error.detail}") from error
