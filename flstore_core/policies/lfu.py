"""Least frequently used, in constant time.

Shah, Mitra and Matani, "An O(1) algorithm for implementing the LFU cache eviction scheme", 2010. Counts begin anew when
a key is cached again; ties go by recency.
"""

from collections import OrderedDict
from collections.abc import Container

from flstore_core.policies.base import Key, Victim
from flstore_core.policies.classic import Classic


class LFU(Classic):
    """Evicts the key that was asked for least often since it was cached."""

    kind = "lfu"
    keeps_because = "frequently used"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._uses: dict[Key, int] = {}
        self._by_uses: dict[int, OrderedDict[Key, None]] = {}
        """Keys by how often they were used, the least recent first."""

    def touched(self, key: Key) -> None:
        if key in self._uses:
            uses = self._uses[key]
            self._leave(key, uses)
            self._enter(key, uses + 1)

    def victim(self, pinned: Container[Key]) -> Victim | None:
        for uses in sorted(self._by_uses):
            for key in self._by_uses[uses]:
                if key not in pinned:
                    return key, "least-frequent"
        return None

    def inserted(self, key: Key, size: int) -> None:
        self._enter(key, 0)

    def removed(self, key: Key) -> None:
        self._leave(key, self._uses.pop(key))

    def _enter(self, key: Key, uses: int) -> None:
        self._uses[key] = uses
        self._by_uses.setdefault(uses, OrderedDict())[key] = None

    def _leave(self, key: Key, uses: int) -> None:
        keys = self._by_uses[uses]
        del keys[key]
        if not keys:
            del self._by_uses[uses]
