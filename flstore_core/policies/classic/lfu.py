"""Least frequently used, in constant time.

Shah, Mitra and Matani, "An O(1) algorithm for implementing the LFU cache eviction scheme", 2010. Counts begin anew when
a key is cached again; ties go by recency.
"""

from collections.abc import Container, Sequence

from flstore_core.policies.base import Cause, Key, Queue, Sizes, take_first
from flstore_core.policies.classic.base import Classic


class LFU(Classic):
    """Evicts the key that was asked for least often since it was cached."""

    base_name = "lfu"
    kept_because = "frequently used"
    evicted_because = "least-frequent"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._uses: dict[Key, int] = {}
        self._by_uses: dict[int, Queue] = {}
        """Keys by how often they were used, the least recent first."""

    def touched(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if key in self._uses:
                uses = self._uses[key]
                self._enter(key, self._leave(key), uses + 1)

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        gone: dict[Key, int] = {}
        for uses in sorted(self._by_uses):
            queue = self._by_uses[uses]
            taken = take_first(queue, needed, pinned)
            needed -= sum(taken.values())
            gone |= taken
            if not queue:
                del self._by_uses[uses]
        for key in gone:
            del self._uses[key]
        return gone

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        for key, size in sizes.items():
            self._enter(key, size, 0)

    def discarded(self, key: Key) -> None:
        self._leave(key)

    def _enter(self, key: Key, size: int, uses: int) -> None:
        self._uses[key] = uses
        self._by_uses.setdefault(uses, Queue())[key] = size

    def _leave(self, key: Key) -> int:
        """Forget a key; return its bytes."""
        uses = self._uses.pop(key)
        queue = self._by_uses[uses]
        size = queue.pop(key)
        if not queue:
            del self._by_uses[uses]
        return size
