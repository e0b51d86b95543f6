"""A store that is opened when it is first used: the S3 SDK takes longer to import than a shard may take to start."""

from collections.abc import Callable
from threading import Lock
from typing import Any, cast

from flstore_core.storage.base import ObjectStore


def deferred(open_it: Callable[[], ObjectStore]) -> ObjectStore:
    """Return a store that calls `open_it` once, when something is first asked of it."""
    return cast("ObjectStore", _Deferred(open_it))


class _Deferred:
    def __init__(self, open_it: Callable[[], ObjectStore]) -> None:
        self._open_it = open_it
        self._lock = Lock()
        self._store: ObjectStore | None = None

    def __getattr__(self, name: str) -> Any:
        with self._lock:
            if self._store is None:
                self._store = self._open_it()
        return getattr(self._store, name)

    def close(self) -> None:
        """Close the store if it was ever opened."""
        if self._store is not None:
            self._store.close()
