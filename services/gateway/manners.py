"""What HTTP clients expect of any server: HEAD wherever there is GET."""

from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_HEAD = "flstore.head"


def wants_no_body(request: Request) -> bool:
    """Return whether only the head of the answer will be sent, so that an endpoint need not read the rest."""
    return _HEAD in request.scope


class HeadAsGet:
    """ASGI middleware: answers HEAD by the route of GET, without the body."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            # From here on it is HEAD again, for the log and for the server. For a GET, the server would insist on as
            # many bytes as Content-Length says.
            scope["method"] = "HEAD"
            await send({**message, "body": b""} if message["type"] == "http.response.body" else message)

        scope[_HEAD], scope["method"] = True, "GET"
        await self._app(scope, receive, send_head)
