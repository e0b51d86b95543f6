"""First in, first out."""

from collections.abc import Container

from flstore_core.policies.base import Key, Sizes, Why
from flstore_core.policies.classic.base import Classic
from flstore_core.policies.queue import Queue, take


class FIFO(Classic):
    """Evicts the key that was cached first, used or not."""

    kind = "fifo"
    keeps_because = "cached not long ago"
    evicts_because = "oldest"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._queue = Queue()

    def let_go(self, needed: int, pinned: Container[Key]) -> Sizes:
        return take(self._queue, needed, pinned)

    def inserted(self, sizes: Sizes, why: Why) -> None:
        self._queue.update(sizes)

    def discarded(self, key: Key) -> None:
        del self._queue[key]
