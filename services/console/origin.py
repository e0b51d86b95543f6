"""Who may send something, and what a page may do: the console's own pages alone, and nothing elsewhere.

A browser says where a request comes from: in `Sec-Fetch-Site`, which pages cannot set, and where it leaves that out in
`Origin`. Programs that are no browsers say neither, and have nobody's cookies.
"""

from functools import partial
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

HEADERS = {
    # NiceGUI's pages have scripts and styles within them, and compile templates. Nothing comes from elsewhere, nothing
    # goes there, and no other site shows our pages within its own, where clicks could be stolen.
    "Content-Security-Policy": (
        "default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; form-action 'self'; frame-ancestors 'none'; "
        "base-uri 'none'; object-src 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
}
"""Sent with every answer."""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
OWN_SITES = frozenset({"same-origin", "none"})
"""What `Sec-Fetch-Site` says of requests by the console's pages, and by viewers themselves."""


class OwnPagesOnly:
    """ASGI middleware: refuses what changes something, and every WebSocket, if it comes from another site.

    With every answer it tells browsers to keep pages to themselves.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] not in SAFE and not is_own(Headers(scope=scope)):
            await PlainTextResponse("This came from another site.", 403)(scope, receive, send)
        elif scope["type"] == "websocket" and not is_own(Headers(scope=scope)):
            await WebSocketClose(1008)(scope, receive, send)
        else:
            await self._app(scope, receive, partial(_send_with_headers, send))


async def _send_with_headers(send: Send, message: Message) -> None:
    if message["type"] == "http.response.start":
        MutableHeaders(scope=message).update(HEADERS)
    await send(message)


def is_own(headers: Headers) -> bool:
    """Return whether the headers are those of a request by one of the console's pages, or of no browser."""
    site, origin = headers.get("sec-fetch-site"), headers.get("origin")
    if site is not None:
        return site in OWN_SITES
    return origin is None or urlsplit(origin).netloc == headers.get("host")
