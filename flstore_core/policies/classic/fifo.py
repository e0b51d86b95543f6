"""First in, first out."""

from collections.abc import Container

from flstore_core.policies.base import Cause, Key, Queue, Sizes, take_first
from flstore_core.policies.classic.base import Classic


class FIFO(Classic):
    """Evicts the key that was cached first, whether it was used or not."""

    base_name = "fifo"
    kept_because = "cached recently"
    evicted_because = "oldest"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._queue = Queue()

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        return take_first(self._queue, needed, pinned)

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        self._queue.update(sizes)

    def discarded(self, key: Key) -> None:
        del self._queue[key]
