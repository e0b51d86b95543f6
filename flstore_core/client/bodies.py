"""Bodies of requests and responses: sent in pieces from where they lie, received into one buffer, counted."""

import hashlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Protocol, Self, TypeAlias

from flstore_core.errors import InvalidParameters, Unavailable
from flstore_core.units import parse_natural

CHUNK = 1 << 18
"""Bytes handed to a socket at a time: about what its buffer takes."""

Progress: TypeAlias = Callable[[int, int], None]
"""Is called with the bytes moved so far and the bytes in all; starts again from 0 when a request is repeated."""


class Body(Protocol):
    """Bytes that can be sent repeatedly: once for each attempt."""

    @property
    def nbytes(self) -> int:
        """Bytes in all; becomes the Content-Length."""

    @property
    def sha256(self) -> str:
        """In hexadecimal; computed once, from all bytes."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield all bytes, at most `CHUNK` at a time."""


@dataclass(frozen=True)
class Buffers:
    """Bytes in memory, in pieces that are never joined."""

    pieces: Sequence[memoryview]

    @cached_property
    def nbytes(self) -> int:
        return sum(piece.nbytes for piece in self.pieces)

    @cached_property
    def sha256(self) -> str:
        return _sha256_of(self)

    def chunks(self) -> Iterator[bytes | memoryview]:
        for piece in self.pieces:
            for start in range(0, piece.nbytes, CHUNK):
                yield piece[start : start + CHUNK]


@dataclass(frozen=True)
class FileBody:
    """The bytes of a file, or of a part of it, read while they are sent."""

    path: Path
    nbytes: int
    offset: int = 0
    """Of the first of them in the file."""

    @classmethod
    def of(cls, path: Path) -> Self:
        """Return the body of a file; raise `InvalidParameters` if it cannot be read."""
        with _reading(path), path.open("rb") as file:  # opened to see whether it can be: a folder has a size too
            return cls(path, os.fstat(file.fileno()).st_size)

    @cached_property
    def sha256(self) -> str:
        return _sha256_of(self)

    def chunks(self) -> Iterator[bytes | memoryview]:
        with _reading(self.path), self.path.open("rb") as file:
            file.seek(self.offset)
            left = self.nbytes
            while chunk := file.read(min(left, CHUNK)):
                yield chunk
                left -= len(chunk)


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError) as error:  # ValueError: the path has a NUL in it
        reason = getattr(error, "strerror", None) or error
        raise InvalidParameters(f"file {str(path)!r} cannot be read: {reason}") from error


def _sha256_of(body: Body) -> str:
    digest = hashlib.sha256()
    for chunk in body.chunks():
        digest.update(chunk)
    return digest.hexdigest()


class Meter:
    """Counts bytes as they move and calls `progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, max(self._total, self._done))


class ResponseBuffer:
    """Collects a response's body in one buffer, which is allocated at once if the headers tell its length.

    Raises:
        Unavailable: if the body has over `most_bytes`, before they are allocated.
    """

    def __init__(self, headers: Mapping[str, str], progress: Progress | None, most_bytes: int = sys.maxsize) -> None:
        length = parse_natural(headers.get("content-length", ""), sys.maxsize) or 0
        self._most_bytes = most_bytes
        self._check(length)
        self.body = bytearray(length)
        self._filled = 0
        self._meter = Meter(progress, len(self.body))

    def add(self, chunk: bytes) -> None:
        end = self._filled + len(chunk)
        self._check(end)
        self.body[self._filled : end] = chunk
        self._filled = end
        self._meter.add(len(chunk))

    def _check(self, nbytes: int) -> None:
        if nbytes > self._most_bytes:
            raise Unavailable(
                f"the server answers with {nbytes} bytes or more, at most {self._most_bytes} were asked for; is this "
                "FLStore's URL?"
            )
