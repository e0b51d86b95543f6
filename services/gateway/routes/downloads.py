"""Answers with an object's bytes: all of them, a range, or none if the caller has them already."""

import re
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import chain
from typing import TypeAlias

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flstore_core.errors import PreconditionFailed, RangeNotSatisfiable
from flstore_core.storage import ObjectStore
from flstore_core.storage.base import MIB
from services.gateway.manners import wants_no_body

Content: TypeAlias = AsyncIterator[memoryview] | Iterator[bytes]

_TAG = re.compile(r'"[^"]*"')
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")


def download(
    request: Request,
    store: ObjectStore,
    key: str,
    nbytes: int,
    sha256: str,
    *,
    find: Callable[[], memoryview | None] | None = None,
) -> Response:
    """Return the response with an object of `nbytes`, whose ETag is its hash. Reads the first chunk from the store.

    Args:
        find: returns the object's bytes if they are in memory; then nothing is read. Called only if bytes are sent.

    Raises:
        PreconditionFailed: if the caller names another hash in If-Match.
        RangeNotSatisfiable: as `byte_range`.
    """

    def read(start: int, stop: int) -> Content:
        if find and (kept := find()) is not None:
            return _pieces(kept[start:stop])
        chunks = store.stream(key, offset=start, length=stop - start)
        first = next(chunks, b"")  # here, not later: once the response has begun, its status cannot tell of an error
        return chain([first], chunks)

    return _respond(request, nbytes, sha256, read)


def send(request: Request, body: memoryview, sha256: str, sent: Callable[[], object]) -> Response:
    """Return the response with bytes that are in memory, as `download` does with those of an object.

    Args:
        sent: is called when the caller has got them, or is gone.
    """

    async def read(start: int, stop: int) -> AsyncIterator[memoryview]:
        try:
            async for piece in _pieces(body[start:stop]):
                yield piece
        finally:
            sent()

    return _respond(request, len(body), sha256, read)


def named_hashes(request: Request) -> frozenset[str] | None:
    """Return the hashes of which the file must have one, by If-Match; None if any will do.

    Only strong tags count, as RFC 9110, 13.1.1 has it.
    """
    tags = [tag.strip() for line in request.headers.getlist("if-match") for tag in line.split(",")]
    return None if not tags or "*" in tags else frozenset(tag[1:-1] for tag in tags if _TAG.fullmatch(tag))


def _respond(request: Request, nbytes: int, sha256: str, read: Callable[[int, int], Content]) -> Response:
    """Return the response to a request for a file: what `read` returns of it, from one byte to before another."""
    # A copy may be kept, but not used without asking: a program is replaced under its name, and a client erased.
    headers = {"ETag": f'"{sha256}"', "Accept-Ranges": "bytes", "Cache-Control": "private, no-cache"}
    if (named := named_hashes(request)) is not None and sha256 not in named:
        wanted = " or ".join(sorted(named)) or "one that If-Match names"
        raise PreconditionFailed(f"the file has the SHA-256 {sha256}, and not {wanted:.200}")
    if _names_hash(request.headers.get("if-none-match", ""), sha256):
        return Response(status_code=304, headers=headers)
    part = byte_range(request.headers.get("range", ""), nbytes)
    start, stop = part or (0, nbytes)
    if part:
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{nbytes}"
    headers["Content-Length"] = str(stop - start)
    status = 206 if part else 200
    if wants_no_body(request):
        return Response(status_code=status, headers=headers, media_type="application/octet-stream")
    return StreamingResponse(read(start, stop), status, headers, media_type="application/octet-stream")


async def _pieces(body: memoryview) -> AsyncIterator[memoryview]:
    """Yield the bytes in pieces, each sent before the next is asked for. Nothing is copied."""
    for start in range(0, len(body), MIB):
        yield body[start : start + MIB]


def _names_hash(if_none_match: str, sha256: str) -> bool:
    """Say whether an If-None-Match header lists the hash, or `*`, which stands for every hash."""
    tags = [tag.strip().removeprefix("W/").strip('"') for tag in if_none_match.split(",")]
    return sha256 in tags or "*" in tags


def byte_range(header: str, nbytes: int) -> tuple[int, int] | None:
    """Return the bytes [start, stop) that a Range header asks for. None means all, as without one range that is valid.

    Example, of 100 bytes: `bytes=10-19` is (10, 20), `bytes=90-` is (90, 100), `bytes=-7` is (93, 100), and
    `bytes=0-1,4-5` is None.

    Raises:
        RangeNotSatisfiable: if the range lies outside of the object.
    """
    match = _RANGE.fullmatch(header.strip())
    if match is None or match.group(0) == "bytes=-":
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, nbytes - int(last)), nbytes
    else:
        start, stop = int(first), min(int(last) + 1, nbytes) if last else nbytes
        if last and int(last) < start:
            return None  # RFC 9110, 14.1.1: such a range is invalid, and an invalid Range header is ignored
    if start >= stop:
        raise RangeNotSatisfiable(f"range {header!r} lies outside of the object's {nbytes} bytes")
    return start, stop
