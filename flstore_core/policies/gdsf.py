"""Greedy-Dual-Size with frequency: small and often used objects stay longest, and all of them age.

Cherkasova, "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy", HP Labs 1998.
"""

import heapq
from collections.abc import Container

from flstore_core.policies.base import Key, Victim
from flstore_core.policies.classic import Classic


class GDSF(Classic):
    """Evicts the key with the least priority: the clock when it was last used plus uses per byte."""

    kind = "gdsf"
    keeps_because = "used often for its size"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._clock = 0.0
        """Priority of the last victim: what is cached or used later starts from there."""
        self._uses: dict[Key, int] = {}
        self._sizes: dict[Key, int] = {}
        self._priorities: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        """Least priority first; entries that are not their key's priority any more are skipped."""

    def touched(self, key: Key) -> None:
        if key in self._uses:
            self._uses[key] += 1
            self._rank(key)

    def victim(self, pinned: Container[Key]) -> Victim | None:
        aside = []
        found = None
        while self._heap and found is None:
            priority, key = self._heap[0]
            if self._priorities.get(key) != priority:
                heapq.heappop(self._heap)
            elif key in pinned:
                aside.append(heapq.heappop(self._heap))
            else:
                found = key
                self._clock = priority
        for entry in aside:
            heapq.heappush(self._heap, entry)
        return None if found is None else (found, "low-priority")

    def inserted(self, key: Key, size: int) -> None:
        self._uses[key] = 1
        self._sizes[key] = size
        self._rank(key)

    def removed(self, key: Key) -> None:
        del self._uses[key], self._sizes[key], self._priorities[key]

    def _rank(self, key: Key) -> None:
        priority = self._clock + self._uses[key] / max(1, self._sizes[key])
        self._priorities[key] = priority
        heapq.heappush(self._heap, (priority, key))
        if len(self._heap) > 64 + 4 * len(self._priorities):
            self._heap = [(priority, key) for key, priority in self._priorities.items()]
            heapq.heapify(self._heap)
