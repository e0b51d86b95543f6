"""The cache of values: a `Ledger`, the values of its keys, and shadow caches, behind one lock."""

from collections.abc import Iterable, Mapping, Sequence
from threading import Lock
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from flstore_core.cache.ledger import Access, Explanation, Ledger, Outcome
from flstore_core.cache.shadow import Shadows
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Prefetch, Request


class Buffer(Protocol):
    """Anything that knows its size, such as a NumPy array or a memoryview."""

    @property
    def nbytes(self) -> int: ...


V = TypeVar("V", bound=Buffer)


class Lookup(NamedTuple, Generic[V]):
    """What a request found, and the values that are cached."""

    access: Access
    values: dict[Key, V]


class Cache(Generic[V]):
    """Values within a byte budget, never copied.

    Every method may be called from any thread. The lock is held for bookkeeping only: a value that a caller holds
    stays whole even if it is evicted meanwhile.
    """

    def __init__(self, ledger: Ledger, shadows: Shadows | None = None) -> None:
        """`shadows` see the same events and appear in the snapshot; they change nothing here."""
        self._ledger = ledger
        self._shadows = shadows or Shadows({}, 0, lambda: 0.0)
        self._values: dict[Key, V] = {}
        self._event_s = 0.0
        self._lock = Lock()

    @property
    def budget(self) -> int:
        """Most bytes that the values take together."""
        return self._ledger.budget

    def get(self, key: Key) -> V | None:
        """Return a cached value without counting a request."""
        with self._lock:
            return self._values.get(key)

    def request(self, request: Request) -> Lookup[V]:
        """Count a request; return the cached values, the missing keys and what to prefetch."""
        with self._lock:
            self._event_s = self._ledger.clock()
            access = self._ledger.request(request)
            self._shadows.request(request)
            return Lookup(access, {key: self._values[key] for key in request.keys if key in self._values})

    def ingest(self, key: Key, value: V) -> Outcome:
        """Offer a new object; raise `InsufficientCapacity` if it is larger than the whole budget."""
        with self._lock:
            self._event_s = self._ledger.clock()
            outcome = self._put({key: value}, self._ledger.ingest(key, value.nbytes))
            self._shadows.ingest(key, value.nbytes)
            return outcome

    def fill(self, values: Mapping[Key, V], cause: Cause, pattern: Pattern) -> Outcome:
        """Offer objects that were fetched together from the store; raise what `ingest` raises."""
        sizes = {key: value.nbytes for key, value in values.items()}
        with self._lock:
            outcome = self._put(values, self._ledger.fill(sizes, cause, pattern))
            self._shadows.learn(sizes)
            return outcome

    def bypass(self, nbytes: int, pattern: Pattern) -> None:
        """Count bytes that a request missed and that were fetched without being offered."""
        with self._lock:
            self._ledger.tallies[pattern].bytes_missed += nbytes

    def commit(self, job: str, round: int, slice: int = 0) -> Sequence[Prefetch]:  # noqa: A002
        """Report that a round is complete; return what to fetch ahead."""
        with self._lock:
            self._event_s = self._ledger.clock()
            self._shadows.commit(job, round, slice)
            return self._ledger.commit(job, round, slice)

    def discard(self, key: Key) -> bool:
        """Remove a key; return whether it was cached."""
        with self._lock:
            self._values.pop(key, None)
            self._shadows.discard(key)
            return self._ledger.discard(key)

    def discard_job(self, job: str) -> int:
        """Remove all objects of a job; return how many there were."""
        with self._lock:
            discarded = self._ledger.discard_job(job)
            self._shadows.discard_job(job)
            self._drop(discarded)
            return len(discarded)

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
        """Return the keys cached at this moment, for inventories and working-set manifests."""
        with self._lock:
            return list(self._values)

    def explain(self, key: Key) -> Explanation:
        """Return since when and why `key` is cached, or when and why it left."""
        with self._lock:
            return self._ledger.explain(key)

    def snapshot(self) -> dict[str, Any]:
        """Return policy, occupancy and counters as plain JSON values.

        `event_s` is the second of the cache's clock at which the policy last heard of a request, an object or a commit.
        """
        with self._lock:
            return {**self._ledger.snapshot(), "event_s": self._event_s, "shadows": self._shadows.snapshot()}

    def _put(self, values: Mapping[Key, V], outcome: Outcome) -> Outcome:
        self._drop(outcome.evicted)
        for key in outcome.admitted:
            self._values.setdefault(key, values[key])
        return outcome

    def _drop(self, keys: Iterable[Key]) -> None:
        for key in keys:
            self._values.pop(key, None)
