"""What an API call exchanges with a transport: plain values, no socket.

The client is split in two. The *API* (`api`) knows which request each call makes and what the response means; it does
no I/O. A *transport* (`sync_client` over urllib3, `async_client` over httpx) sends one request and returns its
response; it knows no call. Both transports therefore run the same API.

They meet in an `Exchange[T]`: a generator that yields a `Request`, is sent the `Response` (or `NoResponse`), yields the
next request if there is one, and returns the call's answer, a `T`. httpx describes authentication in the same way
(`httpx.Auth.auth_flow`).

Example: `api.submit("j", "aggregate")` on a server that is busy once yields three requests and returns an `Operation`:

    POST /v1/jobs/j/workloads/aggregate              429, Retry-After: 1
    POST /v1/jobs/j/workloads/aggregate, delay_s 1   202, Location: /v1/operations/op1
    GET /v1/operations/op1                           200, {"id": "op1", "state": "running"}
    return Operation(id="op1", state="running")
"""

import hashlib
import json
import re
import sys
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, TypeAlias, TypeVar

from flstore_core.client.bodies import Body, Progress

T = TypeVar("T")

_DIGEST = re.compile(r"[0-9a-f]{32,64}")


@dataclass(frozen=True)
class Request:
    """One HTTP request to make."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    progress: Progress | None = None
    """Is called with the upload's bytes, or with the download's if there is no body."""
    states_digest: bool = False
    """The body's SHA-256 goes with it (Content-Digest, RFC 9530), so that no damaged body is stored."""
    delay_s: float = 0.0
    """Seconds to wait before it is sent."""
    most_bytes: int = sys.maxsize
    """Longest response to take."""


@dataclass(frozen=True)
class Response:
    """A response that arrived whole, whatever its status."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytearray

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def digest(self) -> str | None:
        """The ETag, if it is the body's SHA-256 or at least the first half of it; None if it is no hash."""
        value = self.headers.get("etag", "").removeprefix("W/").strip('"')
        return value if _DIGEST.fullmatch(value) else None

    @property
    def media_type(self) -> str:
        """In lower case, without parameters; "" if none is named."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()

    @property
    def has_its_digest(self) -> bool:
        """Whether the body is the one that `digest` names, if it names one."""
        return self.digest is None or self.sha256.startswith(self.digest)

    @cached_property
    def document(self) -> Any:
        """The body as JSON; raises `ValueError` or `RecursionError` if it is none."""
        return json.loads(self.body)

    @property
    def is_json(self) -> bool:
        try:
            self.document  # noqa: B018 - reading it parses the body, once
        except (ValueError, RecursionError):
            return False
        return True


@dataclass(frozen=True)
class NoResponse:
    """A request that got no response, or only part of one."""

    url: str
    reason: str
    timed_out: bool = False
    """The server was reached, but kept silent for too long."""


Exchange: TypeAlias = Generator[Request, Response | NoResponse, T]
"""The requests of one call and, as the generator's return value, its answer."""
