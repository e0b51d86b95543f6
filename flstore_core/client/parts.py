"""A download in parts: a file of any size goes to disk in little memory, and each part is repeated by itself.

Each answer says which bytes it has, how many there are in all, and the SHA-256 of them all (ETag):

    GET …, Range: bytes=0-16777215           206, Content-Range: bytes 0-16777215/20000000, ETag: "9f86…"
    GET …, Range: bytes=16777216-33554431    206, Content-Range: bytes 16777216-19999999/20000000, ETag: "9f86…"

Nothing of that is believed: no answer may be longer than what was asked for, nor the whole than the caller allows, and
the whole has to have its hash. A file that was replaced between two parts, as programs are, has another one.
"""

import hashlib
import re
from collections.abc import Callable
from typing import BinaryIO

from flstore_core.client.exchange import Exchange, Request, Response
from flstore_core.client.problems import PARTIAL_CONTENT
from flstore_core.client.results import FileRange
from flstore_core.errors import DigestMismatch, TooLarge, Unavailable

PART = 16 * 2**20
"""Bytes asked for at a time."""

_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


def download(
    path: str,
    file: BinaryIO,
    send: Callable[[Request], Exchange[Response]],
    *,
    sha256: str | None = None,
    most_bytes: int,
) -> Exchange[str]:
    """Write the bytes at `path` to `file`, and return their SHA-256.

    Args:
        sha256: the hash that they must have, in hexadecimal.

    Raises:
        TooLarge: if there are more than `most_bytes`.
        DigestMismatch: if they have another hash than `sha256`.
        Unavailable: if they are not those that the server names.
    """
    hashed, at, total, digest = hashlib.sha256(), 0, 1, ""
    while at < total:
        part = yield from send(Request("GET", path, {"Range": f"bytes={at}-{at + PART - 1}"}, most_bytes=PART))
        if at and (_total(path, part, at), part.digest) != (total, digest):
            raise Unavailable(f"{path} was replaced while it was read; try again")
        total, digest = _total(path, part, at), part.digest or ""
        if total > most_bytes:
            raise TooLarge(f"{path} has {total} bytes, and at most {most_bytes} are taken")
        file.write(part.body)
        hashed.update(part.body)
        at += len(part.body)
    return _checked(path, hashed.hexdigest(), digest, sha256)


def download_range(
    path: str, start: int, stop: int, send: Callable[[Request], Exchange[Response]]
) -> Exchange[FileRange]:
    """Return the bytes from `start` to before `stop` of the file at `path`, fewer if it ends there.

    Raises:
        Unavailable: if what came is something else, or without the hash of the whole.
    """
    wanted = f"bytes={start}-{stop - 1}"
    most_bytes = max(stop - start, PART)  # an error may be longer than what was asked for
    part = yield from send(Request("GET", path, {"Range": wanted}, most_bytes=most_bytes))
    total = _total(path, part, start)
    if part.digest is None or len(part.body) != min(stop, total) - start:
        raise Unavailable(f"{path} came with {len(part.body)} of the {wanted}, or without a hash; try again")
    return FileRange(part.body, part.digest, total)


def _total(path: str, part: Response, at: int) -> int:
    """Return how many bytes there are in all; raise `Unavailable` unless the answer has those from `at` on."""
    if part.status != PARTIAL_CONTENT and not at:
        return len(part.body)
    match = _RANGE.fullmatch(part.headers.get("content-range", ""))
    start, last, total = map(int, match.groups()) if match else (-1, -1, 0)
    if not part.body or start != at or last + 1 - start != len(part.body) or last >= total:
        raise Unavailable(f"{path} came with other bytes than those from {at} on; is this FLStore's URL?")
    return total


def _checked(path: str, actual: str, named: str, expected: str | None) -> str:
    """Return the hash of what came; raise unless it is the one that the server names, and the one that is expected."""
    if not named or not actual.startswith(named):
        raise Unavailable(f"{path} arrived as {actual}, but the server names {named or 'no hash'}; try again")
    if expected is not None and actual != expected:
        raise DigestMismatch(f"{path} has the SHA-256 {actual}, and not {expected}")
    return actual
