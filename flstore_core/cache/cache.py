"""The cache of values: a `Ledger` and what its keys stand for, behind one lock."""

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from flstore_core.cache.ledger import Access, Explanation, Ledger, Outcome
from flstore_core.cache.rivals import Rivals
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Prefetch, Request, Why


class Buffer(Protocol):
    """Anything that knows its size, such as a NumPy array or a memoryview."""

    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=Buffer)


class Lookup(NamedTuple, Generic[V]):
    """What a request found, with the values that were cached."""

    access: Access
    values: dict[Key, V]


class Cache(Generic[V]):
    """Values within a byte budget, never copied.

    Every method may be called from any thread. The lock is held for bookkeeping only: a value that a caller has got
    stays whole even when it is evicted meanwhile.
    """

    def __init__(self, ledger: Ledger, rivals: Rivals | None = None) -> None:
        """`rivals` are told of everything too, and show in the snapshot; they change nothing."""
        self._ledger = ledger
        self._rivals = rivals or Rivals({}, 0, lambda: 0.0)
        self._values: dict[Key, V] = {}
        self._lock = Lock()

    @property
    def budget(self) -> int:
        """Bytes the values may take together."""
        return self._ledger.budget

    def get(self, key: Key) -> V | None:
        """Return a cached value without counting a request."""
        with self._lock:
            return self._values.get(key)

    def request(self, request: Request) -> Lookup[V]:
        """Count a request; return the cached values and what to fetch."""
        with self._lock:
            access = self._ledger.request(request)
            self._rivals.request(request)
            return Lookup(access, {key: self._values[key] for key in request.keys if key in self._values})

    def ingest(self, key: Key, value: V) -> Outcome:
        """Offer a new object; raises `InsufficientCapacity` if it is larger than the whole budget."""
        with self._lock:
            outcome = self._put({key: value}, self._ledger.ingest(key, value.nbytes))
            self._rivals.ingest(key, value.nbytes)
            return outcome

    def fill(self, values: Mapping[Key, V], why: Why, pattern: Pattern) -> Outcome:
        """Offer objects fetched together from the store; raises as `ingest`."""
        sizes = {key: value.nbytes for key, value in values.items()}
        with self._lock:
            outcome = self._put(values, self._ledger.fill(sizes, why, pattern))
            self._rivals.learn(sizes)
            return outcome

    def commit(self, job: str, round: int, slice: int = 0) -> Sequence[Prefetch]:  # noqa: A002
        """Close a round; return what to fetch ahead."""
        with self._lock:
            self._rivals.commit(job, round, slice)
            return self._ledger.commit(job, round, slice)

    def discard(self, key: Key) -> bool:
        """Remove a key; say whether it was cached."""
        with self._lock:
            self._values.pop(key, None)
            self._rivals.discard(key)
            return self._ledger.discard(key)

    def discard_job(self, job: str) -> int:
        """Remove all of a job; return how many objects went."""
        with self._lock:
            gone = self._ledger.discard_job(job)
            self._rivals.discard_job(job)
            self._drop(gone)
            return len(gone)

    def pin(self, keys: Iterable[Key]) -> None:
        """Keep `keys` from eviction until `unpin`."""
        with self._lock:
            for key in keys:
                self._ledger.pin(key)

    def unpin(self, keys: Iterable[Key]) -> None:
        """Undo one `pin` of each of `keys`."""
        with self._lock:
            for key in keys:
                self._ledger.unpin(key)

    def keys(self) -> list[Key]:
        """Return what is cached at this moment, for inventories and working-set manifests."""
        with self._lock:
            return list(self._values)

    def explain(self, key: Key) -> Explanation:
        """Say since when and why `key` is cached, or when and why it left."""
        with self._lock:
            return self._ledger.explain(key)

    def snapshot(self) -> dict[str, Any]:
        """Return policy, occupancy and counters as plain JSON values."""
        with self._lock:
            return {**self._ledger.snapshot(), "shadows": self._rivals.snapshot()}

    def _put(self, values: Mapping[Key, V], outcome: Outcome) -> Outcome:
        self._drop(outcome.evicted)
        for key in outcome.admitted:
            self._values.setdefault(key, values[key])
        return outcome

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._values.pop(key, None)
