"""Least frequently used, in constant time.

Shah, Mitra and Matani, "An O(1) algorithm for implementing the LFU cache eviction scheme", 2010. A key that is cached
again starts at zero uses; among equally used keys the least recently used leaves first.
"""

from collections.abc import Container, Sequence

from flstore_core.policies.base import Cause, Key, Queue, Sizes, take_first
from flstore_core.policies.classic.base import Classic


class LFU(Classic):
    """Evicts the key that was requested least often since it was cached."""

    base_name = "lfu"
    kept_because = "frequently used"
    evicted_because = "least-frequent"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._uses: dict[Key, int] = {}
        self._by_uses: dict[int, Queue] = {}
        """By number of uses, the keys with so many; the least recently used first."""

    def touched(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if key in self._uses:
                uses = self._uses[key]
                self._add(key, self._remove(key), uses + 1)

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        victims: dict[Key, int] = {}
        for uses in sorted(self._by_uses):
            queue = self._by_uses[uses]
            taken = take_first(queue, needed, pinned)
            needed -= sum(taken.values())
            victims |= taken
            if not queue:
                del self._by_uses[uses]
        for key in victims:
            del self._uses[key]
        return victims

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        for key, size in sizes.items():
            self._add(key, size, 0)

    def discarded(self, key: Key) -> None:
        self._remove(key)

    def _add(self, key: Key, size: int, uses: int) -> None:
        self._uses[key] = uses
        self._by_uses.setdefault(uses, Queue())[key] = size

    def _remove(self, key: Key) -> int:
        """Forget a key; return its bytes."""
        uses = self._uses.pop(key)
        queue = self._by_uses[uses]
        size = queue.pop(key)
        if not queue:
            del self._by_uses[uses]
        return size
