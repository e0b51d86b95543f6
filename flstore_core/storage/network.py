"""A store seen through a slower link, so that measurements on one machine mean something elsewhere.

Every operation takes as long as it really does, and at least the link's first-byte time plus what its bytes take over
one stream. Example: over `cloud-s3` (20 ms, 90 MB/s) a 45 MB object takes at least 0.02 + 45/90 = 0.52 s, however fast
the disk is.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from flstore_core.errors import unknown
from flstore_core.storage.base import MIB, Body, ObjectInfo, ObjectStore, size_of


@dataclass(frozen=True, slots=True)
class Profile:
    """A link."""

    name: str
    first_byte_s: float = 0.0
    """Seconds from a request to the first byte of its answer."""
    stream_bytes_per_s: float = float("inf")
    """Bandwidth of each stream; several may run side by side."""

    def seconds(self, nbytes: int) -> float:
        """Return the least time that `nbytes` take."""
        return self.first_byte_s + nbytes / self.stream_bytes_per_s


LOOPBACK = Profile("loopback")
PROFILES: Mapping[str, Profile] = {
    each.name: each
    for each in (
        LOOPBACK,
        Profile("lan-10g", 0.0002, 1.25e9),
        Profile("cloud-s3", 0.020, 90e6),
        Profile("elasticache", 0.0005, 1.2e9),
    )
}


def profile(name: str) -> Profile:
    """Return the profile called `name`; raise `NotFound` naming the nearest."""
    if name not in PROFILES:
        raise unknown("network profile", name, PROFILES)
    return PROFILES[name]


def behind(link: Profile, store: ObjectStore) -> ObjectStore:
    """Return `store` as seen over `link`; itself over loopback."""
    return store if link == LOOPBACK else _Distant(link, store)


@contextmanager
def crossing(link: Profile, sleep: Callable[[float], None] = time.sleep) -> Iterator[list[int]]:
    """Make the block last at least as long as `link` takes for the bytes whose counts it appends to the list."""
    started = time.perf_counter()
    moved: list[int] = []
    try:
        yield moved
    finally:
        sleep(max(0.0, started + link.seconds(sum(moved)) - time.perf_counter()))


class _Distant:
    """An `ObjectStore` over another one."""

    def __init__(self, link: Profile, store: ObjectStore) -> None:
        self._link = link
        self._store = store

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        with crossing(self._link) as moved:
            moved.append(size_of(body))
            return self._store.put(key, body, if_none_match=if_none_match, if_match=if_match)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with crossing(self._link) as moved:
            body = self._store.get(key, offset=offset, length=length)
            moved.append(len(body))
            return body

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        with crossing(self._link) as moved:
            body, info = self._store.get_with_info(key)
            moved.append(len(body))
            return body, info

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        with crossing(self._link) as moved:
            self._store.read_into(key, buffer, offset=offset)
            moved.append(buffer.nbytes)

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        started, total = time.perf_counter(), 0
        for piece in self._store.stream(key, offset=offset, length=length, chunk=chunk):
            total += len(piece)
            time.sleep(max(0.0, started + self._link.seconds(total) - time.perf_counter()))
            yield piece

    def stat(self, key: str) -> ObjectInfo:
        with crossing(self._link):
            return self._store.stat(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        with crossing(self._link):
            yield from self._store.list(prefix, recursive=recursive)

    def folders(self, prefix: str = "") -> Iterator[str]:
        with crossing(self._link):
            yield from self._store.folders(prefix)

    def delete(self, key: str) -> None:
        with crossing(self._link):
            self._store.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        with crossing(self._link):
            self._store.delete_prefix(prefix)

    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        with crossing(self._link):
            return self._store.purge_history(folder, concerns)

    def probe(self) -> None:
        with crossing(self._link):
            self._store.probe()

    def close(self) -> None:
        self._store.close()
