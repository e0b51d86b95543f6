"""What both transports know before a socket is open: a checked address, headers and timeouts."""

import math
import threading
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field

from flstore_core import __version__
from flstore_core.client.exchange import NoResponse, Request
from flstore_core.errors import InvalidParameters

CONNECT_S = 5.0
"""Longest wait for a connection."""


@dataclass(frozen=True)
class Endpoint:
    """A gateway's address, and what every request to it carries."""

    url: str
    """Without a slash at the end."""
    headers: Mapping[str, str] = field(repr=False)
    """Sent with every request; holds the token."""
    silence_s: float
    """Seconds of silence from the server after which a request fails."""

    @property
    def connect_s(self) -> float:
        return min(self.silence_s, CONNECT_S)

    def headers_for(self, request: Request) -> dict[str, str]:
        """Return what is sent before the body. This may read the whole body, to hash it."""
        headers = {**self.headers, **request.headers}
        if request.body:
            headers["Content-Length"] = str(request.body.nbytes)
        if request.body and request.states_digest:
            headers["Content-Digest"] = f"sha-256=:{b64encode(bytes.fromhex(request.body.sha256)).decode()}:"
        return headers

    def no_response(self, error: Exception, *, timed_out: bool) -> NoResponse:
        """Return the outcome of a request that ended in a transport's own error."""
        text = str(error)
        reason = text.partition("): ")[2] or text  # without the connection pool, which urllib3 names first
        return NoResponse(self.url, reason or type(error).__name__, timed_out)


def create_endpoint(url: str, token: str | None, silence_s: float) -> Endpoint:
    """Return the gateway at `url`; raise `InvalidParameters` if an argument is not usable, without the token's text."""
    if not isinstance(url, str):
        raise InvalidParameters(f"url is a {type(url).__name__}; write one such as http://127.0.0.1:8080")
    if not url.startswith(("http://", "https://")) or not _has_host(url):
        raise InvalidParameters(f"{url!r} is not the URL of a gateway; write one such as http://127.0.0.1:8080")
    headers = {"User-Agent": f"flstore/{__version__}", "Accept-Encoding": "identity"}
    if token is not None:
        headers.update(_authorization(token))
    timeout_s = as_seconds("timeout", silence_s)
    if not 0.0 < timeout_s < threading.TIMEOUT_MAX:
        raise InvalidParameters(f"timeout is {timeout_s:g}; pass seconds, more than 0 and as many as a lock can wait")
    return Endpoint(url.rstrip("/"), headers, timeout_s)


def as_seconds(name: str, value: float) -> float:
    """Return a number of seconds; raise `InvalidParameters`, naming it, for anything else."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if math.isnan(number):
        raise InvalidParameters(f"{name} is {value!r:.40}; pass a number of seconds")
    return number


def _authorization(token: str) -> dict[str, str]:
    """Return the header that carries a token, without the white space of a file that it may have come from."""
    text = token.strip() if isinstance(token, str) else None
    if text is None or not text.isascii() or any(not each.isprintable() or each == " " for each in text):
        raise InvalidParameters("the token is no single word in ASCII; pass it as the server's administrator gave it")
    return {"Authorization": f"Bearer {text}"} if text else {}


def _has_host(url: str) -> bool:
    from urllib3.exceptions import LocationParseError  # here, so that importing the client does not import it
    from urllib3.util import parse_url

    try:
        return bool(parse_url(url).host)
    except LocationParseError:
        return False
