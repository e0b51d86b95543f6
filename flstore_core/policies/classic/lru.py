"""Least recently used (Denning, "The working set model for program behavior", CACM 1968)."""

from collections.abc import Sequence

from flstore_core.policies.base import Key
from flstore_core.policies.classic.fifo import FIFO


class LRU(FIFO):
    """Evicts the key whose last use is longest ago: a used key moves to the end of the queue."""

    base_name = "lru"
    kept_because = "recently used"
    evicted_because = "least-recent"

    def touched(self, keys: Sequence[Key]) -> None:
        queue = self._queue
        for key in keys:
            if key in queue:
                queue.move_to_end(key)
