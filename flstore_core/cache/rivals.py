"""Shadow caches beside a live one: what other policies would have hit, from the same requests."""

from collections.abc import Mapping
from typing import Any

from flstore_core.cache.ledger import Ledger
from flstore_core.cache.shadow import Shadow
from flstore_core.policies.base import Clock, Key, Policy, Request, Sizes

SHARE = 0.02
"""Most of the live cache's budget that the shadows' bookkeeping may take."""
ENTRY_BYTES = 300
"""What one key costs in one shadow, or in the table of sizes, with the policy's own notes."""


class Rivals:
    """Keys and sizes only. Not thread-safe; `Cache` calls it under its lock.

    Caches of very many very small objects would cost more than `SHARE`: then the shadows end, and say so by absence.
    """

    def __init__(self, policies: Mapping[str, Policy], budget: int, clock: Clock) -> None:
        self._sizes: dict[Key, int] = {}
        self._shadows = {name: Shadow(Ledger(policy, budget, clock), self._sizes) for name, policy in policies.items()}
        self._most = int(SHARE * budget / ENTRY_BYTES)

    def ingest(self, key: Key, size: int) -> None:
        """A new object was offered to the live cache."""
        self.learn({key: size})
        for shadow in self._shadows.values():
            shadow.ingest(key, size)

    def learn(self, sizes: Sizes) -> None:
        """Objects were fetched, and so their sizes are known; the size known longest is forgotten first."""
        self._sizes.update(sizes)
        while len(self._sizes) > self._most // 2:
            del self._sizes[next(iter(self._sizes))]
        if sum(len(shadow.ledger) for shadow in self._shadows.values()) > self._most // 2:
            self._shadows.clear()

    def request(self, request: Request) -> None:
        for shadow in self._shadows.values():
            shadow.request(request)

    def commit(self, job: str, round: int, slice: int) -> None:  # noqa: A002
        for shadow in self._shadows.values():
            shadow.commit(job, round, slice)

    def discard(self, key: Key) -> None:
        for shadow in self._shadows.values():
            shadow.ledger.discard(key)

    def discard_job(self, job: str) -> None:
        for shadow in self._shadows.values():
            shadow.ledger.discard_job(job)

    def snapshot(self) -> dict[str, Any]:
        """Return policy → counters by pattern, as plain JSON values."""
        return {
            name: {pattern.value: tally.to_json() for pattern, tally in shadow.ledger.tallies.items()}
            for name, shadow in self._shadows.items()
        }
