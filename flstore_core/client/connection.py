"""What both shells know of HTTP before a socket is open: a checked address, headers, patience; and lost requests."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from urllib3.exceptions import LocationParseError
from urllib3.util import parse_url

from flstore_core import __version__
from flstore_core.client.wire import Lost, Request
from flstore_core.errors import InvalidParameters

CONNECT_S = 5.0


@dataclass(frozen=True)
class Connection:
    """Where a gateway is, and how it is spoken to."""

    url: str
    """Without a slash at the end."""
    headers: Mapping[str, str] = field(repr=False)
    """Sent with every request."""
    silence_s: float
    """Seconds of silence after which a call gives up."""

    @property
    def connect_s(self) -> float:
        return min(self.silence_s, CONNECT_S)

    def headers_of(self, request: Request) -> dict[str, str]:
        length = {"Content-Length": str(request.body.nbytes)} if request.body else {}
        return {**self.headers, **request.headers, **length}

    def lost(self, error: Exception, *, silent: bool) -> Lost:
        text = str(error)
        reason = text.partition("): ")[2] or text  # without the pool that urllib3 names first
        return Lost(self.url, reason or type(error).__name__, silent)


def connection(url: str, token: str | None, silence_s: float) -> Connection:
    """Return how to speak to the gateway at `url`; raise `InvalidParameters` for a URL that is not HTTP's."""
    if not url.startswith(("http://", "https://")) or not _has_host(url):
        raise InvalidParameters(f"{url!r} is not the URL of a gateway; write one such as http://127.0.0.1:8080")
    headers = {"User-Agent": f"flstore/{__version__}", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    return Connection(url.rstrip("/"), headers, silence_s)


def _has_host(url: str) -> bool:
    try:
        return bool(parse_url(url).host)
    except LocationParseError:
        return False
