"""An object store in memory. A test can watch every call, hold it up or make it fail."""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from threading import Lock

from flstore_core.errors import NotFound, PreconditionFailed, ShortObject
from flstore_core.storage import Body, ObjectInfo
from flstore_core.storage.base import MIB, checked_key, checked_prefix, folder_to_delete, pieces_of

WRITES = frozenset({"put", "delete", "delete_prefix"})
PREFIXED = frozenset({"list", "folders", "delete_prefix", "statistics"})


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a store, or of another fake that reads the store's objects."""

    method: str
    key: str = ""
    """The key, or the prefix for calls about a folder."""

    @property
    def writes(self) -> bool:
        return self.method in WRITES

    def conflicts(self, other: "Call") -> bool:
        """Say whether the order of two calls can matter: one writes what the other touches."""
        if not (self.writes or other.writes):
            return False
        return _covers(self, other.key) or _covers(other, self.key)

    def __str__(self) -> str:
        return f"{self.method} {self.key}"


Hook = Callable[[Call], None]
"""Is called with a call. An error that it raises reaches the caller."""


class MemoryStore:
    """An `ObjectStore` in a dictionary.

    Equal bytes have equal etags. Times come from `now`, in seconds since the epoch.

    Attributes:
        before: called before each call is made; an error keeps the call from happening.
        after: called after each call; an error stands for an answer that got lost.
    """

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self._now = now
        self._objects: dict[str, tuple[bytes, ObjectInfo]] = {}
        self._lock = Lock()
        self.before: Hook = _ignore
        self.after: Hook = _ignore

    @property
    def contents(self) -> dict[str, bytes]:
        """A copy of all objects at this moment. Reading it calls no hook."""
        with self._lock:
            return {key: body for key, (body, _) in self._objects.items()}

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        data = b"".join(pieces_of(body))
        self.before(call := Call("put", checked_key(key)))
        with self._lock:
            stored = self._objects.get(key)
            if if_none_match and stored:
                raise PreconditionFailed(f"object {key!r} already exists")
            if if_match is not None and (stored is None or stored[1].etag != if_match):
                raise PreconditionFailed(f"object {key!r} does not have etag {if_match}")
            info = ObjectInfo(key, len(data), hashlib.sha256(data).hexdigest(), self._now())
            self._objects[key] = data, info
        self.after(call)
        return info

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        return self._read("get", key)[0][offset:][:length]

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        return self._read("get_with_info", key)

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        view = buffer.cast("B")
        part = self._read("read_into", key)[0][offset:]
        if len(part) < len(view) or offset > len(self.contents[key]):
            raise ShortObject(f"object {key!r} ends before {len(view)} bytes from {offset} were read")
        view[:] = part[: len(view)]

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        data = self._read("stream", key)[0][offset:][:length]
        for start in range(0, len(data), chunk):
            yield data[start : start + chunk]

    def stat(self, key: str) -> ObjectInfo:
        return self._read("stat", key)[1]

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        folder = checked_prefix(prefix)
        for key, info in self._below("list", folder):
            if recursive or "/" not in key.removeprefix(folder):
                yield info

    def folders(self, prefix: str = "") -> Iterator[str]:
        folder = checked_prefix(prefix)
        below = [key.removeprefix(folder) for key, _ in self._below("folders", folder)]
        yield from dict.fromkeys(name.partition("/")[0] for name in below if "/" in name)

    def delete(self, key: str) -> None:
        self.before(call := Call("delete", checked_key(key)))
        with self._lock:
            self._objects.pop(key, None)
        self.after(call)

    def delete_prefix(self, prefix: str) -> None:
        folder = folder_to_delete(prefix)
        self.before(call := Call("delete_prefix", folder))
        with self._lock:
            for key in [key for key in self._objects if key.startswith(folder)]:
                del self._objects[key]
        self.after(call)

    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        return 0

    def probe(self) -> None:
        self.before(Call("probe"))

    def close(self) -> None:
        """Nothing stays open between calls."""

    def _read(self, method: str, key: str) -> tuple[bytes, ObjectInfo]:
        self.before(call := Call(method, checked_key(key)))
        with self._lock:
            stored = self._objects.get(key)
        self.after(call)
        if stored is None:
            raise NotFound(f"object {key!r} does not exist")
        return stored

    def _below(self, method: str, folder: str) -> Sequence[tuple[str, ObjectInfo]]:
        self.before(call := Call(method, folder))
        with self._lock:
            infos = [(key, info) for key, (_, info) in sorted(self._objects.items()) if key.startswith(folder)]
        self.after(call)
        return infos


def _covers(call: Call, key: str) -> bool:
    return key.startswith(call.key) if call.method in PREFIXED else key == call.key


def _ignore(call: Call) -> None:
    pass
