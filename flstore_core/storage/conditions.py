"""Makes sure that a store keeps conditional writes, on which everything that FLStore acknowledges stands.

Some servers that speak S3 ignore `If-None-Match` or `If-Match`, and answer as if the condition had held. Over such a
store two gateways would commit one round twice, and both would be believed. So a service asks before it writes by a
condition for the first time, with an object of its own under a random name:

    1  create it, and create it again           the second must be refused
    2  create another one from two threads      one of the two must be refused, and the winner's bytes must be there
    3  replace the first by its etag, twice     the second must be refused: the etag has changed
    4  delete both

Step 2 finds stores that look and write in two steps. It cannot find each of them, since two writers need not meet.
Services that start at the same time do not disturb each other: each has names of its own.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from functools import partial
from secrets import token_hex
from threading import Lock
from typing import Any, cast

from flstore_core import layout
from flstore_core.errors import PreconditionFailed, StoreUnavailable, UnsuitableStore
from flstore_core.storage.base import Body, ObjectInfo, ObjectStore

TRIED = "a directory of a local file system, and SeaweedFS 4.48"
"""Stores that the tests run against."""


def check_conditions(store: ObjectStore) -> None:
    """Return if the store keeps conditional writes.

    Raises:
        UnsuitableStore: if it does not.
        StoreUnavailable: if it does not answer.
    """
    key, raced = layout.probe(token_hex(8)), layout.probe(token_hex(8))
    with _cleared(store, key, raced):
        etag = store.put(key, b"1", if_none_match=True).etag
        _require_refusal(store, "If-None-Match: *", partial(store.put, key, b"2", if_none_match=True))
        _race(store, raced)
        store.put(key, b"3", if_match=etag)
        _require_refusal(store, "If-Match", partial(store.put, key, b"4", if_match=etag))


class Conditional:
    """A store that is checked before the first conditional write. Safe to share between threads.

    A service may start while its store is away. It is checked then as soon as it is back.
    """

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._checked = False
        self._lock = Lock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._store, name)

    def check(self) -> None:
        """Check the store unless that was done; errors as `check_conditions`."""
        with self._lock:
            if not self._checked:
                check_conditions(self._store)
                self._checked = True

    def put(self, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None) -> ObjectInfo:
        if not self._checked and (if_none_match or if_match is not None):
            self.check()
        return self._store.put(key, body, if_none_match=if_none_match, if_match=if_match)


def checked(store: ObjectStore, away: Callable[[str], object]) -> ObjectStore:
    """Return a store that was checked, or will be before its first conditional write if it does not answer now.

    Args:
        away: called with the reason if the store does not answer.

    Raises:
        UnsuitableStore: if it does not keep conditional writes.
    """
    conditional = Conditional(store)
    try:
        store.probe()  # it does not wait long, and `check` would
        conditional.check()
    except StoreUnavailable as error:
        away(error.detail)
    return cast("ObjectStore", conditional)


@contextmanager
def _cleared(store: ObjectStore, *keys: str) -> Iterator[None]:
    """Delete objects at the end. What cannot be deleted is left: it is a few bytes, and what was found out matters."""
    try:
        yield
    finally:
        for key in keys:
            with suppress(StoreUnavailable):
                store.delete(key)


def _race(store: ObjectStore, key: str) -> None:
    """Have two writers create one object at once; raise `UnsuitableStore` unless exactly one of them does."""

    def create(body: bytes) -> bytes:
        try:
            store.put(key, body, if_none_match=True)
        except PreconditionFailed:
            return b""
        return body

    with ThreadPoolExecutor(2, thread_name_prefix="check") as writers:
        created = [body for body in writers.map(create, (b"one", b"two")) if body]
    if len(created) != 1 or store.get(key) != created[0]:
        raise _unsuitable(store, "two writers that created one object at once with If-None-Match: *")


def _require_refusal(store: ObjectStore, condition: str, write: Callable[[], object]) -> None:
    try:
        write()
    except PreconditionFailed:
        return
    raise _unsuitable(store, f"a second writer with {condition}")


def _unsuitable(store: ObjectStore, what: str) -> UnsuitableStore:
    return UnsuitableStore(
        f"{store!r} did not refuse {what}, so two gateways would overwrite each other's records there. Use a store "
        f"with conditional writes (If-None-Match and If-Match). Tried: {TRIED}; docs/protocol.md has more"
    )
