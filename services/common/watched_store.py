"""A store whose operations are spans of the request that they are for."""

from collections.abc import Callable, Iterator
from itertools import chain
from typing import TypeVar

from flstore_core.storage.base import MIB, Body, ObjectInfo, ObjectStore, size_of
from services.common.tracing import span

T = TypeVar("T")


class WatchedStore:
    """An `ObjectStore` over another one. Of what comes bit by bit, the span lasts until the first bit is there."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        with span("store put", calls=True, key=key, nbytes=size_of(body)):
            return self._store.put(key, body, if_none_match=if_none_match, if_match=if_match)

    def get(self, key: str, *, offset: int = 0, length: int | None = None) -> bytes:
        with span("store get", calls=True, key=key):
            return self._store.get(key, offset=offset, length=length)

    def get_with_info(self, key: str) -> tuple[bytes, ObjectInfo]:
        with span("store get_with_info", calls=True, key=key):
            return self._store.get_with_info(key)

    def read_into(self, key: str, buffer: memoryview, *, offset: int = 0) -> None:
        with span("store read_into", calls=True, key=key, nbytes=buffer.nbytes):
            self._store.read_into(key, buffer, offset=offset)

    def stream(self, key: str, *, offset: int = 0, length: int | None = None, chunk: int = MIB) -> Iterator[bytes]:
        return _begun("store stream", key, self._store.stream(key, offset=offset, length=length, chunk=chunk))

    def stat(self, key: str) -> ObjectInfo:
        with span("store stat", calls=True, key=key):
            return self._store.stat(key)

    def list(self, prefix: str = "", *, recursive: bool = True) -> Iterator[ObjectInfo]:
        return _begun("store list", prefix, self._store.list(prefix, recursive=recursive))

    def folders(self, prefix: str = "") -> Iterator[str]:
        return _begun("store folders", prefix, self._store.folders(prefix))

    def delete(self, key: str) -> None:
        with span("store delete", calls=True, key=key):
            self._store.delete(key)

    def delete_prefix(self, prefix: str) -> None:
        with span("store delete_prefix", calls=True, key=prefix):
            self._store.delete_prefix(prefix)

    def purge_history(self, folder: str, concerns: Callable[[str], bool]) -> int:
        with span("store purge_history", calls=True, key=folder):
            return self._store.purge_history(folder, concerns)

    def probe(self) -> None:
        self._store.probe()

    def close(self) -> None:
        self._store.close()


def _begun(name: str, key: str, items: Iterator[T]) -> Iterator[T]:
    """Yield `items`. A span that lasted longer would end in another thread or task than it began in."""
    with span(name, calls=True, key=key):
        first = next(items, None)
    yield from () if first is None else chain([first], items)
