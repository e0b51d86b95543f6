"""S3-FIFO, by bytes (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023)."""

from collections.abc import Container, Sequence

from flstore_core.policies.base import Cause, Key, Queue, Sizes
from flstore_core.policies.classic.base import Classic

SMALL_SHARE = 0.1
"""Part of the budget for newcomers, as in the paper."""
MOST_USES = 3
"""Uses are counted up to this."""
USES_TO_STAY = 2
"""Uses in the small queue with which a newcomer moves on to the main one."""


class S3FIFO(Classic):
    """A small queue sorts out what is used once, a main queue gives used keys another round, ghosts are remembered."""

    base_name = "s3-fifo"
    kept_because = "new, or used while queued"
    evicted_because = "unused-in-queue"

    def __init__(self, budget: int, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._budget = budget
        self._small = Queue()
        self._main = Queue()
        self._ghosts = Queue()
        """Keys that lately left the small queue, up to as many bytes as the main queue may hold."""
        self._small_bytes = 0
        self._ghost_bytes = 0
        self._uses: dict[Key, int] = {}

    def touched(self, keys: Sequence[Key]) -> None:
        uses = self._uses
        for key in keys:
            if key in uses and uses[key] < MOST_USES:
                uses[key] += 1

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        gone: dict[Key, int] = {}
        while needed > 0 and (key := self._victim(pinned)) is not None:
            gone[key] = self._leave(key)
            needed -= gone[key]
        return gone

    def inserted(self, sizes: Sizes, cause: Cause) -> None:
        for key, size in sizes.items():
            self._uses[key] = 0
            if key in self._ghosts:
                self._ghost_bytes -= self._ghosts.pop(key)
                self._main[key] = size
            else:
                self._small[key] = size
                self._small_bytes += size

    def discarded(self, key: Key) -> None:
        self._leave(key)

    def _victim(self, pinned: Container[Key]) -> Key | None:
        # Each pass moves one key or decides; every key moves at most once by use and `MOST_USES` times by age.
        for _ in range((MOST_USES + 2) * len(self._uses)):
            if self._small and (self._small_bytes > SMALL_SHARE * self._budget or not self._main):
                key = self._from_small(pinned)
            else:
                key = self._from_main(pinned)
            if key is not None:
                return key
        return next((key for key in self._uses if key not in pinned), None)

    def _leave(self, key: Key) -> int:
        """Forget a key but for its ghost; return its bytes."""
        del self._uses[key]
        if key not in self._small:
            return self._main.pop(key)
        size = self._small.pop(key)
        self._small_bytes -= size
        self._remember(key, size)
        return size

    def _from_small(self, pinned: Container[Key]) -> Key | None:
        """Return the oldest newcomer to evict, or move it on and return None."""
        key, size = next(iter(self._small.items()))
        if self._uses[key] < USES_TO_STAY and key not in pinned:
            return key
        del self._small[key]
        self._small_bytes -= size
        self._main[key] = size
        self._uses[key] = 0
        return None

    def _from_main(self, pinned: Container[Key]) -> Key | None:
        """Return the oldest unused key to evict, or give the oldest another round and return None."""
        key = next(iter(self._main))
        if self._uses[key] == 0 and key not in pinned:
            return key
        self._uses[key] = max(0, self._uses[key] - 1)
        self._main.move_to_end(key)
        return None

    def _remember(self, key: Key, size: int) -> None:
        self._ghosts[key] = size
        self._ghost_bytes += size
        while self._ghost_bytes > (1 - SMALL_SHARE) * self._budget:
            self._ghost_bytes -= self._ghosts.popitem(last=False)[1]
