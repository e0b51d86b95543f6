"""What both shells share of httpx: how its client is set up, and its replies and errors as ours."""

from typing import TypedDict

import httpx

from flstore_core import __version__
from flstore_core.client.wire import Inbox, Lost, Reply, Request
from flstore_core.errors import InvalidParameters

_CONNECT_S = 5.0
_KEEP_S = 3.0
"""Seconds an idle connection is kept: less than the server's five, so that none is used as it is being closed."""


class Options(TypedDict):
    """Arguments of `httpx.Client` and `httpx.AsyncClient`."""

    base_url: str
    headers: dict[str, str]
    timeout: httpx.Timeout
    limits: httpx.Limits


def options(url: str, token: str | None, timeout: float) -> Options:
    """Return how to set up httpx; raise `InvalidParameters` for a URL that is not HTTP's."""
    if not url.startswith(("http://", "https://")) or not httpx.URL(url).host:
        raise InvalidParameters(f"{url!r} is not the URL of a gateway; write one such as http://127.0.0.1:8080")
    headers = {"User-Agent": f"flstore/{__version__}", "Accept-Encoding": "identity"}
    if token:
        headers["Authorization"] = f"Bearer {token}"
    patience = httpx.Timeout(timeout, connect=min(timeout, _CONNECT_S), pool=None)
    return Options(base_url=url, headers=headers, timeout=patience, limits=httpx.Limits(keepalive_expiry=_KEEP_S))


def headers_of(request: Request) -> dict[str, str]:
    length = {"Content-Length": str(request.body.nbytes)} if request.body else {}
    return {**request.headers, **length}


def accepted(response: httpx.Response, inbox: Inbox) -> Reply:
    return Reply(response.status_code, {name.lower(): text for name, text in response.headers.items()}, inbox.body)


def lost(url: str, error: httpx.TransportError) -> Lost:
    reason = str(error) or type(error).__name__
    silent = isinstance(error, httpx.TimeoutException) and not isinstance(error, httpx.ConnectTimeout)
    return Lost(url.rstrip("/"), reason, silent)
