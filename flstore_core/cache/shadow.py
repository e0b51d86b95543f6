"""Shadow caches: what other policies would have hit, had they been in charge. Keys and sizes only.

The simulator replays traces through a `Shadow`; a live shard runs `Shadows`, one for each rival policy, beside its
cache.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from flstore_core.cache.ledger import Access, Ledger
from flstore_core.policies.base import Cause, Key, Policy, Prefetch, Request, Sizes, TimeSource

SHARE = 0.02
"""Most of the live cache's budget that the shadows' bookkeeping may take."""
ENTRY_BYTES = 300
"""What one key takes in one shadow or in the table of sizes, with the policy's own notes."""

_DEMAND, _PREFETCH = Cause.DEMAND, Cause.PREFETCH


class Shadow:
    """A ledger whose misses and prefetches are filled at once, by the sizes in `sizes`.

    `sizes` may be shared and may grow meanwhile; a key that it lacks weighs nothing.
    """

    def __init__(self, ledger: Ledger, sizes: Mapping[Key, int]) -> None:
        self.ledger = ledger
        self._sizes = sizes

    def ingest(self, key: Key, size: int) -> None:
        """Offer a newly created object of `size` bytes."""
        self.ledger.ingest(key, size)

    def commit(self, job: str, round: int, slice: int = 0) -> None:  # noqa: A002
        """Report a complete round and prefetch what the policy wants."""
        self._prefetch(self.ledger.commit(job, round, slice))

    def request(self, request: Request) -> Access:
        """Count a request, then fill its misses and what the policy wants fetched."""
        access = self.ledger.request(request)
        if access.missing:
            size_of = self._sizes.get
            self.ledger.fill({key: size_of(key, 0) for key in access.missing}, _DEMAND, request.pattern)
        if access.prefetches:
            self._prefetch(access.prefetches)
        return access

    def _prefetch(self, prefetches: Sequence[Prefetch]) -> None:
        for sizes, pattern in prefetches:
            self.ledger.fill(sizes, _PREFETCH, pattern)


class Shadows:
    """A shadow for each of several policies. Not thread-safe; `Cache` calls it under its lock.

    Their bookkeeping takes at most `SHARE` of the live cache's budget. In a cache of very many very small objects it
    would take more: then the shadows end, and the snapshot is empty from that moment on.
    """

    def __init__(self, policies: Mapping[str, Policy], budget: int, clock: TimeSource) -> None:
        self._sizes: dict[Key, int] = {}
        self._shadows = {name: Shadow(Ledger(policy, budget, clock), self._sizes) for name, policy in policies.items()}
        self._most_entries = int(SHARE * budget / ENTRY_BYTES)

    def ingest(self, key: Key, size: int) -> None:
        """Learn that a new object was offered to the live cache."""
        self.learn({key: size})
        for shadow in self._shadows.values():
            shadow.ingest(key, size)

    def learn(self, sizes: Sizes) -> None:
        """Learn the sizes of objects that were fetched; the size known longest is forgotten first."""
        self._sizes.update(sizes)
        while len(self._sizes) > self._most_entries // 2:
            del self._sizes[next(iter(self._sizes))]
        if sum(len(shadow.ledger) for shadow in self._shadows.values()) > self._most_entries // 2:
            self._shadows.clear()

    def request(self, request: Request) -> None:
        """Learn of a request to the live cache."""
        for shadow in self._shadows.values():
            shadow.request(request)

    def commit(self, job: str, round: int, slice: int) -> None:  # noqa: A002
        """Learn that a round is complete."""
        for shadow in self._shadows.values():
            shadow.commit(job, round, slice)

    def discard(self, key: Key) -> None:
        """Remove a key from every shadow."""
        self._sizes.pop(key, None)
        for shadow in self._shadows.values():
            shadow.ledger.discard(key)

    def discard_job(self, job: str) -> None:
        """Remove all of a job from every shadow."""
        for key in [key for key in self._sizes if key.job == job]:
            del self._sizes[key]
        for shadow in self._shadows.values():
            shadow.ledger.discard_job(job)

    def snapshot(self) -> dict[str, Any]:
        """Return policy → counters by pattern, as plain JSON values."""
        return {
            name: {pattern.value: tally.to_json() for pattern, tally in shadow.ledger.tallies.items()}
            for name, shadow in self._shadows.items()
        }
