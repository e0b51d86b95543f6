"""Greedy-Dual-Size with frequency: small and often used objects stay longest, and all of them age.

Cherkasova, "Improving WWW proxies performance with Greedy-Dual-Size-Frequency caching policy", HP Labs 1998.

An object's priority is the policy's clock at its last use plus uses / bytes; the least is evicted, and the clock then
shows the victim's priority. So what was popular long ago falls behind what is used now. Two objects of 10 bytes: one
used three times at clock 0 has priority 0.3; one used once at clock 0.25 has 0.25 + 0.1 = 0.35 and outlives it.
"""

import heapq
from collections.abc import Container, Sequence

from flstore_core.policies.base import Cause, Key, Sizes
from flstore_core.policies.classic.base import Classic


class GDSF(Classic):
    """Evicts the key with the least priority."""

    base_name = "gdsf"
    kept_because = "used often for its size"
    evicted_because = "low-priority"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._clock = 0.0
        """Priority of the last victim."""
        self._uses: dict[Key, int] = {}
        self._sizes: dict[Key, int] = {}
        self._priorities: dict[Key, float] = {}
        self._heap: list[tuple[float, Key]] = []
        """The least priority first; an entry that is no longer its key's priority is skipped."""

    def touched(self, keys: Sequence[Key]) -> None:
        for key in keys:
            if key in self._uses:
                self._uses[key] += 1
                self._rank(key)

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        victims: dict[Key, int] = {}
        skipped: list[tuple[float, Key]] = []
        while needed > 0 and self._heap:
            priority, key = entry = heapq.heappop(self._heap)
            if self._priorities.get(key) != priority:
                continue
            if key in pinned:
                skipped.append(entry)
                continue
            victims[key] = self._sizes[key]
            needed -= victims[key]
            self._clock = priority
            self.discarded(key)
        for entry in skipped:
            heapq.heappush(self._heap, entry)
        return victims

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self._sizes.update(sizes)
        for key in sizes:
            self._uses[key] = 1
            self._rank(key)

    def discarded(self, key: Key) -> None:
        del self._uses[key], self._sizes[key], self._priorities[key]

    def forget(self, job: str) -> None:
        self._tidy()

    def _rank(self, key: Key) -> None:
        priority = self._clock + self._uses[key] / max(1, self._sizes[key])
        self._priorities[key] = priority
        heapq.heappush(self._heap, (priority, key))
        if len(self._heap) > 64 + 4 * len(self._priorities):
            self._tidy()

    def _tidy(self) -> None:
        """Drop the entries to skip."""
        self._heap = [(priority, key) for key, priority in self._priorities.items()]
        heapq.heapify(self._heap)
