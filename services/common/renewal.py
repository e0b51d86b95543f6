"""Connections that end now and then, so that load spreads over all copies of a service.

A client keeps its connection, and what spreads load over pods, such as kube-proxy, spreads connections and no requests.
A copy that is added would stay idle for as long as the clients of the others keep theirs. So a connection is ended once
it has carried a number of requests or is so old. Chance shortens both by up to a half, so that connections that began
together do not end together.

The last answer says `Connection: close`, which every client of HTTP/1.1 follows without an error. Care is taken that no
request is lost:

    request, 1000th ── whole? ── no ──▶ answered as ever: an upload under way goes on, a later answer is the last
                       yes, and no other request is behind it ──▶ its answer is the last
    another request, while the last answer has not begun ──▶ that one is answered too, and is the last
    another request, once the last answer has begun ──▶ not answered; its client has been told, and sends it anew

A client that sends requests ahead (pipelining) may be in the midst of one when the last answer comes. A socket that is
closed with bytes unread answers them by a reset, which may overtake the last answer. So only our side is closed at
first, and the other `LINGER_S` later, or when the client closes it (RFC 9112, section 9.6).
"""

import math
import random
from asyncio import AbstractEventLoop, Transport
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

from services.common.asgi import RequestResponseCycle
from services.common.connections import BoundedProtocol

LINGER_S = 1.0
"""Seconds for which bytes of a client are still taken, and dropped, after the last answer."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """When a connection ends. 0 means that it does not end for this reason."""

    requests: int = 0
    """Most requests on one connection."""
    seconds: float = 0.0
    """Age of a connection, in seconds, after which its next answer is the last."""
    chance: Callable[[], float] = random.random
    """Numbers in [0, 1)."""

    def protocol(self) -> type[BoundedProtocol]:
        """Return the protocol of connections that end so."""
        if not self.requests and not self.seconds:
            return BoundedProtocol
        return type("RenewedProtocol", (_RenewedProtocol,), {"renewal": self})


NEVER = Renewal()
"""Connections stay for as long as clients keep them: for services of which there is one copy."""


class _RenewedProtocol(BoundedProtocol):
    renewal: Renewal

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        share = 1.0 - self.renewal.chance() / 2
        self._left = max(1.0, share * self.renewal.requests) if self.renewal.requests else math.inf
        self._ends_at = self.loop.time() + share * self.renewal.seconds if self.renewal.seconds else math.inf
        self._last: RequestResponseCycle | None = None
        """The request whose answer is the last, once there is one."""

    def data_received(self, data: bytes) -> None:
        if self._last is None or not self._last.response_started:
            super().data_received(data)

    def on_headers_complete(self) -> None:
        if self._last is not None:  # its answer has not begun, or nothing would be read any more
            self._last.keep_alive, self._last.transport, self._last = True, self.transport, None
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._left -= 1
        is_due = self._left < 1 or self.loop.time() >= self._ends_at
        if is_due and self.cycle.keep_alive and not self.cycle.response_started:
            self._last = self.cycle
            self._last.keep_alive = False
            self._last.transport = cast("Transport", _HalfClosing(self.transport, self.loop))


class _HalfClosing:
    """A transport as the last answer sees it: what it closes stays open for the client's side for a moment."""

    def __init__(self, transport: Transport, loop: AbstractEventLoop) -> None:
        self._transport = transport
        self._loop = loop
        self.write = transport.write
        self.is_closing = transport.is_closing

    def close(self) -> None:
        if not self._transport.can_write_eof():
            self._transport.close()
        elif not self._transport.is_closing():
            self._transport.write_eof()
            self._loop.call_later(LINGER_S, self._transport.close)
