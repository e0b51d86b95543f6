"""Receives bodies of uploads whole, into memory set aside for them."""

import asyncio

import numpy as np
from starlette.requests import Request

from flstore_core import buffers
from flstore_core.errors import InvalidParameters, LengthRequired, TooSlow

SLOWEST = 64 << 10
"""Bytes a second at which a body may come: half a megabit."""


def content_length(request: Request) -> int:
    """Return how many bytes the body has; raise `LengthRequired` where it does not say."""
    text = request.headers.get("content-length", "")
    if not text.isdecimal() or "transfer-encoding" in request.headers:
        raise LengthRequired("send Content-Length, so that memory can be set aside for the body")
    return int(text)


async def receive(request: Request, nbytes: int, patience_s: float) -> memoryview:
    """Receive the body into memory that is its only copy here.

    Raises `TooSlow` as soon as it is `patience_s` seconds behind `SLOWEST`: it holds memory that others wait for.
    """
    body: memoryview = buffers.empty(nbytes, np.uint8).data
    received, begun = 0, asyncio.get_running_loop().time()
    try:
        async with asyncio.timeout(patience_s) as limit:
            async for chunk in request.stream():
                body[received : received + len(chunk)] = chunk
                received += len(chunk)
                limit.reschedule(begun + patience_s + received / SLOWEST)
    except TimeoutError as error:
        detail = f"{received} of the body's {nbytes} bytes came in time; send at least {SLOWEST} a second"
        raise TooSlow(detail) from error
    if received != nbytes:
        raise InvalidParameters(f"the body has {received} bytes; Content-Length says {nbytes}")
    return body
