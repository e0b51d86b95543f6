"""Addresses that are right behind a proxy which has a service below a path."""

import re

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from flstore_core.errors import InvalidParameters

HEADER = "x-forwarded-prefix"
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]{1,100}){1,10}")


class BelowPrefix:
    """ASGI middleware: puts back the prefix that a proxy has taken off a path, so that addresses in answers are right.

    A proxy that takes a prefix off says so in `X-Forwarded-Prefix`. For a proxy that does not, the prefix is a setting;
    it then applies whether or not the path still has the prefix. ASGI wants the prefix both in `root_path` and at the
    beginning of `path`.

    Args:
        prefix: such as `/flstore`; empty for none.
    """

    def __init__(self, app: ASGIApp, prefix: str) -> None:
        self._app = app
        self._prefix = prefix

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket"):
            headers = MutableHeaders(scope=scope)
            forwarded = headers.get(HEADER, "").rstrip("/")
            del headers[HEADER]  # what is behind us has it in `root_path`, and would put it there once more
            # Answers repeat the header's text, and any caller can send it. So nothing but a path is accepted.
            if _PREFIX.fullmatch(forwarded):
                _put_below(scope, forwarded, scope["path"])
            else:
                _put_below(scope, self._prefix, _without(self._prefix, scope["path"]))
        await self._app(scope, receive, send)


def checked_prefix(text: str) -> str:
    """Return a prefix without its last slash; raise `InvalidParameters` if it is not one such as `/flstore`."""
    prefix = text.rstrip("/")
    if prefix and not _PREFIX.fullmatch(prefix):
        raise InvalidParameters(
            f"{text!r} is not usable; begin with a slash, then letters and digits, such as /flstore"
        )
    return prefix


def _without(prefix: str, path: str) -> str:
    """Return a path without the prefix that it may have. The prefix alone is the root: people leave the slash out."""
    return (path.removeprefix(prefix) or "/") if f"{path}/".startswith(f"{prefix}/") else path


def _put_below(scope: Scope, prefix: str, path: str) -> None:
    scope["root_path"] = prefix
    scope["path"] = prefix + path
