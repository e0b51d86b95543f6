"""Who looks: each viewer's own token, kept in this process' memory and nowhere else.

A browser holds a random id in a cookie, which scripts cannot read and other sites cannot send. The id leads to the
token here, and the token goes to the gateway alone. docs/decisions/console-sessions.md says what this keeps out.

Where the gateway has no tokens nobody logs in: a viewer without a session asks without a token.
"""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from nicegui import Client
from starlette.requests import Request
from starlette.responses import Response

from flstore_core.client.async_client import AsyncFLStore

COOKIE = "flstore_console"
MOST_SESSIONS = 10_000
"""Sessions that are kept, so that logging in over and over fills nothing; the one used longest ago goes first."""
LAST_WORD_S = 1.0
"""Seconds in which a page of a session that has ended is told so, before it is deleted."""
Connect = Callable[[str | None], AsyncFLStore]
"""Returns a client of the gateway with a token; raises `InvalidParameters` if the text cannot be one."""


@dataclass
class Session:
    """A viewer who has logged in, for as long as the session lasts."""

    gateway: AsyncFLStore = field(repr=False)
    used_at: float
    pages: set[Client] = field(default_factory=set, repr=False)
    """The pages that are open: they have the token, so they end with the session."""

    def end(self) -> None:
        """End all pages; a browser that shows one of them asks for it anew, and comes to the login."""
        for page in list(self.pages):
            page.run_javascript("location.reload()")
            # A page that is deleted sends nothing any more, and what it sends waits for the event loop.
            asyncio.get_running_loop().call_later(LAST_WORD_S, _delete, page)


class Sessions:
    """The sessions of one console.

    Args:
        connect: returns a client of the gateway with a token, or without one.
        idle_s: a session that was not used for so many seconds is forgotten.
    """

    def __init__(self, connect: Connect, idle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.connect = connect
        self._idle_s = idle_s
        self._clock = clock
        self._sessions: dict[str, Session] = {}
        """By id, the one that was used longest ago first."""
        self._nobody = self.connect(None)

    def begin(self, gateway: AsyncFLStore) -> str:
        """Keep a viewer's client, and return the random id that leads to it."""
        self._forget_idle()
        while len(self._sessions) >= MOST_SESSIONS:
            self._end(next(iter(self._sessions)))
        number = secrets.token_urlsafe(32)
        self._sessions[number] = Session(gateway, self._clock())
        return number

    def end(self, request: Request) -> None:
        """Forget the session of a request, and with it the token; its pages end."""
        self._end(request.cookies.get(COOKIE, ""))

    def viewer(self, request: Request) -> AsyncFLStore:
        """Return the client of whoever asks: that of the session, or else one without a token."""
        self._forget_idle()
        number = request.cookies.get(COOKIE, "")
        session = self._sessions.pop(number, None)
        if session is None:
            return self._nobody
        session.used_at = self._clock()
        self._sessions[number] = session  # as the last one
        return session.gateway

    def knows(self, request: Request) -> bool:
        """Return whether whoever asks has logged in."""
        return request.cookies.get(COOKIE, "") in self._sessions

    def keep_page(self, request: Request, page: Client) -> None:
        """Note that a page belongs to the session of a request, if it has one, for as long as the page is open."""
        if session := self._sessions.get(request.cookies.get(COOKIE, "")):
            session.pages.add(page)
            page.on_delete(lambda: session.pages.discard(page))

    def _end(self, number: str) -> None:
        if session := self._sessions.pop(number, None):
            session.end()

    def _forget_idle(self) -> None:
        oldest = self._clock() - self._idle_s
        for number in [number for number, session in self._sessions.items() if session.used_at < oldest]:
            self._end(number)


def hand_out(response: Response, number: str, *, path: str, secure: bool) -> None:
    """Give a browser the id of its session, in a cookie that ends with the browser."""
    response.set_cookie(COOKIE, number, path=path, secure=secure, httponly=True, samesite="lax")


def take_back(response: Response, *, path: str) -> None:
    response.delete_cookie(COOKIE, path=path)


def _delete(page: Client) -> None:
    if not page.is_deleted:  # a page that was asked for anew may be gone already
        page.delete()
