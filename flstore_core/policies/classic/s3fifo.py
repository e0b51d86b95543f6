"""S3-FIFO, by bytes: three first-in-first-out queues that sort out what is requested only once.

Yang, Zhang, Qiu, Yue and Rashmi, "FIFO queues are all you need for cache eviction", SOSP 2023.

Most objects are never requested again. So newcomers enter a *small* queue with a tenth of the budget, and only those
that were requested twice while in it move on to the *main* queue; the others leave quickly. The main queue evicts its
oldest object unless that was requested: then it goes to the end again, with one use less to its credit. Keys that were
evicted from the small queue are remembered as *ghosts*, without their bytes: one that comes back enters the main queue
directly. What was erased or deleted leaves no ghost.

Example (`tests/policies/classic/test_s3fifo.py` runs it): room for ten objects, and the requests a a a b c d e f g h i
j k. The ten objects a to j fill the cache, all in the small queue. At k the oldest, a, has two uses: it moves to main.
The next, b, has none: it is evicted and becomes a ghost. A later request for b puts it into main, and evicts c.
"""

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
    """Evicts newcomers that were hardly used before anything else."""

    base_name = "s3-fifo"
    kept_because = "new, or requested while queued"
    evicted_because = "unused-in-queue"

    def __init__(self, budget: int, on_arrival: bool = False) -> None:
        super().__init__(on_arrival)
        self._budget = budget
        self._small = Queue()
        self._main = Queue()
        self._ghosts = Queue()
        """Keys that were lately evicted from the small queue, up to as many bytes as the main queue may hold."""
        self._small_bytes = 0
        self._ghost_bytes = 0
        self._uses: dict[Key, int] = {}

    def touched(self, keys: Sequence[Key]) -> None:
        uses = self._uses
        for key in keys:
            if key in uses and uses[key] < MOST_USES:
                uses[key] += 1

    def choose_victims(self, needed: int, pinned: Container[Key]) -> Sizes:
        victims: dict[Key, int] = {}
        while needed > 0 and (key := self._victim(pinned)) is not None:
            is_newcomer = key in self._small
            victims[key] = self._remove(key)
            needed -= victims[key]
            if is_newcomer:
                self._remember(key, victims[key])
        return victims

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
        self._remove(key)

    def forget(self, job: str) -> None:
        for key in [key for key in self._ghosts if key.job == job]:
            self._ghost_bytes -= self._ghosts.pop(key)

    def _victim(self, pinned: Container[Key]) -> Key | None:
        # Each pass finds a key or moves one. A key moves at most once out of the small queue and `MOST_USES` times
        # around the main one, so after this many passes nothing but pinned keys can have stood in front.
        for _ in range((MOST_USES + 2) * len(self._uses)):
            if self._small and (self._small_bytes > SMALL_SHARE * self._budget or not self._main):
                key = self._from_small(pinned)
            else:
                key = self._from_main(pinned)
            if key is not None:
                return key
        return next((key for key in self._uses if key not in pinned), None)

    def _remove(self, key: Key) -> int:
        """Take a key out of its queue; return its bytes."""
        del self._uses[key]
        if key not in self._small:
            return self._main.pop(key)
        size = self._small.pop(key)
        self._small_bytes -= size
        return size

    def _from_small(self, pinned: Container[Key]) -> Key | None:
        """Return the oldest newcomer to evict, or move it to the main queue and return None."""
        key, size = next(iter(self._small.items()))
        if self._uses[key] < USES_TO_STAY and key not in pinned:
            return key
        del self._small[key]
        self._small_bytes -= size
        self._main[key] = size
        self._uses[key] = 0
        return None

    def _from_main(self, pinned: Container[Key]) -> Key | None:
        """Return the oldest unused key to evict, or move the oldest to the end and return None."""
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
