"""Receives uploads whole, into memory set aside for them, and counts the bytes that are in flight."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import numpy as np
from starlette.requests import Request

from flstore_core import buffers
from flstore_core.errors import Busy, InvalidParameters, LengthRequired, TooLarge, TooSlow

SLOWEST = 64 << 10
"""Bytes a second at which a body has to come: half a megabit."""


class ByteBudget:
    """Bytes of uploads that may be in flight at once. Used from the event loop only.

    A gateway that refuses early does not run out of memory. Example, with a limit of 2 GiB and a largest body of 1 GiB:
    while two bodies of 900 MiB are in flight, a third one of 900 MiB is answered 429, and one of 1.5 GiB 413.
    """

    def __init__(self, limit: int, largest: int) -> None:
        self._limit = limit
        self._largest = min(largest, limit)
        self.used = 0

    @contextmanager
    def hold(self, nbytes: int) -> Iterator[None]:
        """Count `nbytes` for as long as an upload lasts.

        Raises:
            TooLarge: if no body may be that large.
            Busy: if it fits, but not beside what is in flight.
        """
        if nbytes > self._largest:
            raise TooLarge(f"the body has {nbytes} bytes; at most {self._largest} are accepted")
        if self.used + nbytes > self._limit:
            raise Busy(f"{self.used} of {self._limit} bytes of uploads are in flight; try again shortly")
        self.used += nbytes
        try:
            yield
        finally:
            self.used -= nbytes


@asynccontextmanager
async def upload(request: Request, budget: ByteBudget, patience_s: float) -> AsyncIterator[memoryview]:
    """Receive the body, which counts against the budget until the block ends.

    Raises:
        LengthRequired: if the request does not say how long the body is.
        TooLarge, Busy: if the budget has no room for it.
        TooSlow, InvalidParameters: as `receive`.
    """
    nbytes = content_length(request)
    with budget.hold(nbytes):
        yield await receive(request, nbytes, patience_s)


def content_length(request: Request) -> int:
    """Return how many bytes the body has; raise `LengthRequired` if the request does not say."""
    text = request.headers.get("content-length", "")
    if not text.isdecimal() or "transfer-encoding" in request.headers:
        raise LengthRequired("send Content-Length, so that memory can be set aside for the body")
    return int(text)


async def receive(request: Request, nbytes: int, patience_s: float) -> memoryview:
    """Receive the body of `nbytes` into memory that is the gateway's only copy of it.

    Raises:
        TooSlow: as soon as the body is `patience_s` seconds behind `SLOWEST`: it holds memory that others wait for.
        InvalidParameters: if the body has another length.
    """
    body: memoryview = buffers.empty(nbytes, np.uint8).data
    received, began = 0, asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(patience_s) as limit:
            async for chunk in request.stream():
                body[received : received + len(chunk)] = chunk
                received += len(chunk)
                limit.reschedule(began + patience_s + received / SLOWEST)
    except TimeoutError as error:
        detail = f"{received} of the body's {nbytes} bytes came in time; send at least {SLOWEST} a second"
        raise TooSlow(detail) from error
    if received != nbytes:
        raise InvalidParameters(f"the body has {received} bytes; Content-Length says {nbytes}")
    return body
