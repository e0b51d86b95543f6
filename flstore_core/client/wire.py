"""What a call hands to a shell and gets back: plain values, no socket.

A *flow* is a generator that yields requests and is sent what became of them; its return value is the call's answer.
Both shells drive the same flows.
"""

import hashlib
import re
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol, TypeAlias, TypeVar

CHUNK = 1 << 18
"""Bytes handed to a socket at a time: about what its buffer takes."""

T = TypeVar("T")

_DIGEST = re.compile(r"[0-9a-f]{32,64}")

Progress: TypeAlias = Callable[[int, int], None]
"""Called with the bytes moved so far and in all; it starts over when a call is tried again."""


class Body(Protocol):
    """Bytes to send, as often as a request is tried."""

    @property
    def nbytes(self) -> int:
        """Bytes in all; becomes the Content-Length."""

    def chunks(self) -> Iterator[bytes | memoryview]:
        """Yield all bytes, at most `CHUNK` at a time."""


@dataclass(frozen=True)
class Buffers:
    """Bytes that lie in memory, in pieces that are never joined."""

    pieces: Sequence[memoryview]

    @cached_property
    def nbytes(self) -> int:
        return sum(piece.nbytes for piece in self.pieces)

    def chunks(self) -> Iterator[bytes | memoryview]:
        for piece in self.pieces:
            for start in range(0, piece.nbytes, CHUNK):
                yield piece[start : start + CHUNK]


@dataclass(frozen=True)
class FileBody:
    """The bytes of a file, read as they are sent."""

    path: Path
    nbytes: int

    def chunks(self) -> Iterator[bytes | memoryview]:
        with self.path.open("rb") as file:
            while chunk := file.read(CHUNK):
                yield chunk


@dataclass(frozen=True)
class Request:
    """One HTTP request to make."""

    method: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Body | None = None
    progress: Progress | None = None
    """Told of the upload's bytes, or of the download's where there is no body."""
    after: float = 0.0
    """Seconds to wait before it is sent."""


@dataclass(frozen=True)
class Reply:
    """An answer that arrived whole."""

    status: int
    headers: Mapping[str, str]
    """Names in lower case."""
    body: bytearray

    @property
    def digest(self) -> str | None:
        """What the ETag says of the body's SHA-256: all of it or its first half at least; None if it is no hash."""
        value = self.headers.get("etag", "").removeprefix("W/").strip('"')
        return value if _DIGEST.fullmatch(value) else None

    @cached_property
    def sha256(self) -> str:
        return hashlib.sha256(self.body).hexdigest()


@dataclass(frozen=True)
class Lost:
    """A request without an answer."""

    url: str
    reason: str
    timed_out: bool = False
    """The peer was reached, but kept silent for too long."""


Flow: TypeAlias = Generator[Request, Reply | Lost, T]


class Meter:
    """Counts bytes as they move and tells `progress`."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def add(self, count: int) -> None:
        self._done += count
        if self._progress:
            self._progress(self._done, max(self._total, self._done))


class Inbox:
    """Gathers a reply's body in one buffer, allocated once where its length is known."""

    def __init__(self, headers: Mapping[str, str], progress: Progress | None) -> None:
        length = headers.get("content-length", "")
        self.body = bytearray(int(length) if length.isascii() and length.isdigit() else 0)
        self._filled = 0
        self._meter = Meter(progress, len(self.body))

    def add(self, chunk: bytes) -> None:
        end = self._filled + len(chunk)
        self.body[self._filled : end] = chunk
        self._filled = end
        self._meter.add(len(chunk))
