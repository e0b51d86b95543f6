"""First in, first out."""

from collections import OrderedDict
from collections.abc import Container, Sequence

from flstore_core.policies.base import Key, Prefetch, Request, Victim
from flstore_core.policies.classic import Classic


class FIFO(Classic):
    """Evicts the key that was cached first, used or not."""

    kind = "fifo"
    keeps_because = "cached not long ago"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._queue: OrderedDict[Key, None] = OrderedDict()
        """Oldest first."""

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        return ()

    def victim(self, pinned: Container[Key]) -> Victim | None:
        for key in self._queue:
            if key not in pinned:
                return key, "oldest"
        return None

    def inserted(self, key: Key, size: int) -> None:
        self._queue[key] = None

    def removed(self, key: Key) -> None:
        del self._queue[key]
