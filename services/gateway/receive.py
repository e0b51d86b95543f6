"""Receives bodies of uploads whole, into memory set aside for them."""

import numpy as np
from starlette.requests import Request

from flstore_core import buffers
from flstore_core.errors import InvalidParameters, LengthRequired


def content_length(request: Request) -> int:
    """Return how many bytes the body has; raise `LengthRequired` where it does not say."""
    text = request.headers.get("content-length", "")
    if not text.isdecimal() or "transfer-encoding" in request.headers:
        raise LengthRequired("send Content-Length, so that memory can be set aside for the body")
    return int(text)


async def receive(request: Request, nbytes: int) -> memoryview:
    """Receive the body into memory that is its only copy here."""
    body: memoryview = buffers.empty(nbytes, np.uint8).data
    received = 0
    async for chunk in request.stream():
        body[received : received + len(chunk)] = chunk
        received += len(chunk)
    if received != nbytes:
        raise InvalidParameters(f"the body has {received} bytes; Content-Length says {nbytes}")
    return body
