"""The metadata and statistics that the tailored policy holds: all of it, within a share of the budget.

Metadata is small, and one request reads that of many rounds (P4), so it is planned as a whole and not by groups. It has
a share of the budget for as long as anybody reads it.

Example (`tests/policies/tailored/test_metadata.py` runs it): with a budget of 80 bytes and metadata of 1 byte a round,
that of the newest 10 rounds stays. Once more than 400 requests in a row were for other things, metadata has no share
and is the first to leave.
"""

from collections.abc import Container, Sequence
from typing import Final

from flstore_core.policies.base import Key, Queue, Victims, take_first

METADATA_SHARE: Final = 1 / 8
"""Most of the budget that metadata may hold."""

IDLE_REQUESTS: Final = 400
"""Metadata keeps its share through this many requests for other things in a row; a burst of them is shorter."""


class Metadata:
    """Cached metadata, the oldest first to leave."""

    def __init__(self, budget: int) -> None:
        self.bytes = 0
        self._most_bytes = int(METADATA_SHARE * budget)
        self._queue = Queue()
        self._other_requests = 0
        """Since metadata was last requested."""

    def observe_request(self) -> None:
        """Learn of a request for metadata."""
        self._other_requests = 0

    def observe_other_request(self) -> None:
        """Learn of a request for anything else."""
        self._other_requests += 1

    def is_wanted(self) -> bool:
        """Return whether metadata has a share of the budget."""
        return self._other_requests <= IDLE_REQUESTS

    def surplus(self) -> int:
        """Return the bytes held beyond the share."""
        if not self.is_wanted():
            return self.bytes
        return max(0, self.bytes - self._most_bytes)

    def put(self, key: Key, size: int) -> None:
        """Take in a cached object."""
        self._queue[key] = size
        self.bytes += size

    def drop(self, key: Key) -> None:
        """Let go of an object that was discarded."""
        self.bytes -= self._queue.pop(key)

    def evict(self, needed: int, pinned: Container[Key]) -> Sequence[Victims]:
        """Let go of up to `needed` bytes of the surplus, the oldest first and none of `pinned`."""
        surplus = self.surplus()
        if not surplus:
            return ()
        evicted = take_first(self._queue, min(needed, surplus), pinned)
        self.bytes -= sum(evicted.values())
        return ((evicted, "old-metadata"),)
