"""Connections that limit the head of a request, which is its request line and headers, in bytes and in time.

uvicorn limits neither: an endless header would fill the memory, and half a request line would keep its connection open
for as long as the caller likes. Both would happen before any token is looked at.

    connection made ── no byte for FIRST_BYTE_S ──▶ closed
    first byte of a head ── head not whole after HEAD_S ──▶ 408, closed
                         ── over MAX_HEAD_BYTES ──▶ 431, closed
                         ── head is whole ──▶ the app answers; an idle connection then has uvicorn's keep-alive time
"""

import asyncio
from typing import Any

from services.common.asgi import HttpToolsProtocol

MAX_HEAD_BYTES = 256 * 2**10
"""Longest head. An update's metrics of up to 64 KiB may come in a header; this is several times as much."""
HEAD_S = 15.0
"""Seconds from the first byte of a head to its last."""
FIRST_BYTE_S = 75.0
"""Seconds from the start of a connection to its first byte: as long as it may be idle between two requests."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with limits for heads.

    A chunk of bytes is counted before it is parsed. If the head ends in it, the parser calls `on_headers_complete`,
    which sets the count back to 0. So a count that is not 0 after parsing is that of a head which has not ended.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True
        self._head_bytes = 0
        self._head_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._close_after(FIRST_BYTE_S)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        first = self._in_head and not self._head_bytes
        if self._in_head:
            self._head_bytes += len(data)
        super().data_received(data)
        if not self._in_head or not self._head_bytes:
            return
        if self._head_bytes > MAX_HEAD_BYTES:
            self._refuse(b"431 Request Header Fields Too Large")
        elif first:
            self._close_after(HEAD_S)

    def on_headers_complete(self) -> None:
        self._in_head, self._head_bytes = False, 0
        self._stop_timer()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_head = True
        super().on_message_complete()

    def _close_after(self, seconds: float) -> None:
        self._stop_timer()
        self._head_timer = self.loop.call_later(seconds, self._refuse, b"408 Request Timeout")

    def _stop_timer(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse(self, status: bytes) -> None:
        """Answer, if a head has begun, and close."""
        self._stop_timer()
        if self.transport.is_closing():
            return
        if self._head_bytes and not self._is_answering():
            self.transport.write(b"HTTP/1.1 " + status + b"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
        self.transport.close()

    def _is_answering(self) -> bool:
        """Return whether the answer to an earlier request of this connection is under way."""
        return self.cycle is not None and not self.cycle.response_complete
