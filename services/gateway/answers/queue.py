"""A queue for the long work of several tenants, a few pieces at a time. It shares the workers fairly.

Example, with four workers: tenant A submits ten pieces. Three run and seven wait, because one tenant gets at most all
workers but one. B submits one piece, which runs at once on the fourth worker. When one of A's pieces ends, A's next
piece begins. Tenants with waiting work take turns: if B submits two more, the next worker that is free takes a piece of
A, and the one after that a piece of B.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor
from threading import Lock

from flstore_core.errors import Busy
from services.gateway.threads import OPERATIONS

MOST_WAITING_OF_ONE = 16
"""Pieces of one tenant that may wait."""
MOST_WAITING = 64
"""Pieces of all tenants together that may wait."""

Work = Callable[[], None]


class FairQueue:
    """A bounded queue before an executor. Safe to share between threads.

    Args:
        executor: runs the work, `workers` pieces at once.
    """

    def __init__(self, executor: Executor, workers: int = OPERATIONS) -> None:
        self._executor = executor
        self._free = workers
        self._share = max(1, workers - 1)
        """Most workers that one tenant has at a time: one is left for the others."""
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Work]] = OrderedDict()
        """By tenant; the tenant whose turn is next comes first."""
        self._lock = Lock()

    def check_room(self, tenant: str) -> None:
        """Raise `Busy` if there is no room for a tenant's work to wait.

        `submit` does not check again, so a few that check at the same time may together exceed the limit.
        """
        with self._lock:
            of_tenant = len(self._waiting.get(tenant, ()))
            of_all = sum(map(len, self._waiting.values()))
        if of_tenant >= MOST_WAITING_OF_ONE:
            raise Busy(f"{of_tenant} of your operations wait for their turn already; at most {MOST_WAITING_OF_ONE} may")
        if of_all >= MOST_WAITING:
            raise Busy(f"{of_all} operations wait for their turn at this gateway; try again shortly")

    def has_room(self, tenant: str) -> bool:
        """Return whether there is room for a tenant's work to wait."""
        try:
            self.check_room(tenant)
        except Busy:
            return False
        return True

    def submit(self, tenant: str, work: Work) -> None:
        """Run `work` when it is its turn. `work` must not raise."""
        with self._lock:
            self._waiting.setdefault(tenant, deque()).append(work)
        self._begin_next()

    def _begin_next(self) -> None:
        """Begin one piece of work, if a worker is free for it.

        One is enough: every submission and every end of a piece calls this, and neither makes room for more than one.
        """
        with self._lock:
            tenant = self._whose_turn()
            if tenant is None:
                return
            work = self._waiting[tenant].popleft()
            self._waiting.move_to_end(tenant)
            if not self._waiting[tenant]:
                del self._waiting[tenant]
            self._free -= 1
            self._running[tenant] += 1
        self._executor.submit(self._do, tenant, work)

    def _whose_turn(self) -> str | None:
        """Return the next tenant that has less than its share of workers; None if there is none, or no free worker."""
        if not self._free:
            return None
        return next((tenant for tenant in self._waiting if self._running[tenant] < self._share), None)

    def _do(self, tenant: str, work: Work) -> None:
        try:
            work()
        finally:
            with self._lock:
                self._free += 1
                self._running[tenant] -= 1
                if not self._running[tenant]:
                    del self._running[tenant]
            self._begin_next()
