"""The SHA-256 of an upload: computed while the body comes, and held against what its sender says it is (RFC 9530)."""

import asyncio
import hashlib
import re
from asyncio import Future
from base64 import b64decode
from concurrent.futures import Executor

from starlette.requests import Request

from flstore_core.errors import DigestMismatch, InvalidParameters

STEP = 1 << 20
"""Bytes that are hashed together in a thread. Fewer, at the end of a body, are hashed where they are."""

HEADER = "Content-Digest"
_MEMBER = re.compile(r"\s*sha-256\s*=\s*(.*?)\s*(?:;.*)?")
_VALUE = re.compile(r":([A-Za-z0-9+/]{43}=):")


class Hashing:
    """Hashes a body that is still coming, in threads, so that the event loop goes on.

    At most one thread works for one body. So the hash is known soon after the last byte, and the whole takes no more
    work than to compute it afterwards.
    """

    def __init__(self, body: memoryview, threads: Executor) -> None:
        self._body = body
        self._threads = threads
        self._hash = hashlib.sha256()
        self._begun = 0
        self._running: Future[None] | None = None

    def go_on(self, received: int) -> None:
        """Begin to hash the bytes up to `received`, unless they are few or a thread is still at work."""
        if received - self._begun >= STEP and (self._running is None or self._running.done()):
            self._begin(received)

    async def finish(self) -> str:
        """Return the hash of the whole body in hexadecimal."""
        if self._running:
            await self._running
        if len(self._body) - self._begun >= STEP:
            await self._begin(len(self._body))
        self._hash.update(self._body[self._begun :])
        return self._hash.hexdigest()

    def _begin(self, end: int) -> Future[None]:
        piece, self._begun = self._body[self._begun : end], end
        self._running = asyncio.get_running_loop().run_in_executor(self._threads, self._hash.update, piece)
        return self._running


def stated_sha256(request: Request) -> str | None:
    """Return the SHA-256 that the request's Content-Digest states, in hexadecimal; None if it states none.

    Other algorithms are passed over, as RFC 9530 has it.

    Raises:
        InvalidParameters: if the header states a SHA-256 that cannot be one.
    """
    stated = None
    for member in ",".join(request.headers.getlist(HEADER)).split(","):
        if found := _MEMBER.fullmatch(member):
            stated = _decode(found[1])
    return stated


def check(stated: str | None, sha256: str) -> None:
    """Raise `DigestMismatch` if the hash of what came is not the one that was stated."""
    if stated not in (None, sha256):
        raise DigestMismatch(
            f"the body has the SHA-256 {sha256}, but {HEADER} states {stated}; it was damaged on its way, or changed "
            "while it was sent"
        )


def _decode(value: str) -> str:
    if encoded := _VALUE.fullmatch(value):
        return b64decode(encoded[1]).hex()
    raise InvalidParameters(f"{HEADER} states {value!r:.80}; write sha-256=:BASE64: with the 32 bytes of a SHA-256")
