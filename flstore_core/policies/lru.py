"""Least recently used (Denning, "The working set model for program behavior", CACM 1968)."""

from collections import OrderedDict
from collections.abc import Container, Sequence

from flstore_core.policies.base import Key, Prefetch, Request, Victim
from flstore_core.policies.classic import Classic


class LRU(Classic):
    """Evicts the key whose last use is longest ago."""

    kind = "lru"
    keeps_because = "recently used"

    def __init__(self, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._order: OrderedDict[Key, None] = OrderedDict()
        """Least recent first."""

    def requested(self, request: Request, missing: Sequence[Key]) -> Sequence[Prefetch]:
        order = self._order
        for key in request.keys:
            if key in order:
                order.move_to_end(key)
        return ()

    def victim(self, pinned: Container[Key]) -> Victim | None:
        for key in self._order:
            if key not in pinned:
                return key, "least-recent"
        return None

    def inserted(self, key: Key, size: int) -> None:
        self._order[key] = None

    def removed(self, key: Key) -> None:
        del self._order[key]
