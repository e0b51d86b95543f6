"""The contract every object store keeps, the value types that cross it, and many reads of a store at once."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextvars import copy_context
from dataclasses import dataclass
from functools import partial
from typing import Protocol, TypeAlias

from flstore_core.errors import InvalidId, InvalidParameters, StoreUnavailable

Body: TypeAlias = bytes | bytearray | memoryview | Sequence[memoryview]
"""Bytes of an object, whole or in pieces; a store never copies them on their way out."""

Read: TypeAlias = tuple[str, int, memoryview]
"""A key, an offset in bytes and the memory to fill from there."""

MIB = 1 << 20
MAX_KEY_BYTES = 1024
MAX_PART_BYTES = 255


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What a store knows about an object without reading it.

    `size` is in bytes, `modified` in seconds since 1970. `etag` is opaque: it differs whenever the content does. For
    equal content written twice it may be the same or not, so what is swapped by etag should carry a version.
    """

    key: str
    size: int
    etag: str
    modified: float


class HistoryRemains(StoreUnavailable):
    """Earlier versions of objects may be left: the store does not say, or does not delete them."""


class ObjectStore(Protocol):
    """Bytes under keys. Synchronous and safe to share between threads.

    An object is whole or absent, never half-written. Every method raises `InvalidId` for a hostile key,
    `StoreUnavailable` when the store cannot be reached or refuses, and no error of a library underneath.
    A `prefix` names a folder: `jobs/j` and `jobs/j/` both mean what lies below `jobs/j/`, and "" means everything.
    """

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        """Write `body` durably under `key`, replacing what is there.

        With `if_none_match` only create; with `if_match` only replace the object that has this etag. Raises
        `PreconditionFailed` when that does not hold, `StoreFull` when there is no space.
        """
        ...

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        """Return at most `length` bytes from `offset`, fewer (or none) where the object ends. Raises `NotFound`."""
        ...

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        """Return a small object and the etag it had while it was read. Raises `NotFound`."""
        ...

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        """Fill all of `buffer` with the bytes from `offset`.

        Raises `NotFound`, and `ShortObject` when the object ends first. After an error `buffer` holds garbage.
        """
        ...

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        """Yield the bytes `get` would return, at most `chunk` at a time, all from one version of the object.

        Nothing is asked of the store, and so nothing raised, before the first chunk is taken.
        """
        ...

    def stat(self, key: str) -> ObjectInfo:
        """Return what is known about `key` without reading it. Raises `NotFound`."""
        ...

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        """Yield the objects below `prefix`, or only those directly in it, in no promised order."""
        ...

    def folders(self, prefix: str = "") -> Iterator[str]:
        """Yield the names, without slashes, of the folders directly in `prefix`, in no promised order.

        Some servers go on naming a folder for a while after its last object was deleted.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove `key`; do nothing when it does not exist."""
        ...

    def delete_prefix(self, prefix: str) -> None:
        """Remove all objects below `prefix`, which must not be empty."""
        ...

    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        """Remove what the store keeps of earlier states of objects below `folder` whose keys `concerns` is true of.

        A store may keep versions of objects that were replaced or deleted, and markers of deletions. The objects
        themselves stay. Returns how many went, 0 where the store keeps nothing. Raises `HistoryRemains` if it keeps
        them or does not say, and does not let them go.
        """
        ...

    def probe(self) -> None:
        """Return quickly when the store answers; raise `StoreUnavailable` when it does not, without retrying."""
        ...

    def close(self) -> None:
        """Let go of connections. The store is not used afterwards."""
        ...


def pieces_of(body: Body) -> list[memoryview]:
    """Return an object's bytes as flat views, in order."""
    pieces = [body] if isinstance(body, bytes | bytearray | memoryview) else body
    return [memoryview(piece).cast("B") for piece in pieces]


def size_of(body: Body) -> int:
    """Return how many bytes an object has."""
    return sum(map(len, pieces_of(body)))


def read_many(store: ObjectStore, reads: Sequence[Read], *, workers: int = 8) -> None:
    """Fill every buffer with at most `workers` threads, in any order.

    Raises the first error met, after the reads under way have ended: no thread writes to a buffer afterwards.
    """
    if not reads:
        return
    with ThreadPoolExecutor(min(workers, len(reads)), thread_name_prefix="read") as pool:
        futures = [  # in the caller's context, so that each read is known to be part of its request
            pool.submit(copy_context().run, partial(store.read_into, key, buffer, offset=offset))
            for key, offset, buffer in reads
        ]
        done, waiting = wait(futures, return_when=FIRST_EXCEPTION)
        for future in waiting:
            future.cancel()
    for future in done:
        future.result()


def checked_key(key: str) -> str:
    """Return `key` if every store can hold it: relative, no hidden, empty or unprintable part, of bounded length."""
    parts = key.split("/")
    if len(_utf8(key)) > MAX_KEY_BYTES or not all(_is_safe(part) for part in parts):
        raise InvalidId(
            f"object key {_shown(key)} is not usable; use non-empty parts of printable characters joined by '/', none "
            f"beginning with '.', each up to {MAX_PART_BYTES} bytes and {MAX_KEY_BYTES} bytes in all"
        )
    return key


def checked_prefix(prefix: str) -> str:
    """Return the folder `prefix` with its closing slash, or "" for the whole store."""
    return checked_key(prefix.removesuffix("/")) + "/" if prefix else ""


def folder_to_delete(prefix: str) -> str:
    """Return `checked_prefix(prefix)`, refusing to mean the whole store."""
    if not prefix:
        raise InvalidParameters("prefix '' would delete the whole store; name a folder such as 'jobs/j'")
    return checked_prefix(prefix)


def _is_safe(part: str) -> bool:
    return (
        part.isprintable() and "\\" not in part and not part.startswith(".") and 0 < len(_utf8(part)) <= MAX_PART_BYTES
    )


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _shown(key: str) -> str:
    return repr(key if len(key) <= 60 else key[:60] + "…")
