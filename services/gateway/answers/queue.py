"""Long work of several tenants, a few pieces at a time: nobody's work keeps everybody else's from being done.

Example, with four workers: tenant A starts ten pieces. Three run and seven wait, because one tenant has at most all
workers but one. B starts one, which runs at once on the fourth. As soon as one of A's ends, the next of A's begins.
Tenants take turns: if B starts two more, the worker that is free next takes one of A's, the one after that one of B's.
"""

from collections import Counter, OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor
from threading import Lock

from flstore_core.errors import Busy
from services.gateway.threads import OPERATIONS

MOST_OF_ONE = 16
"""Pieces of one tenant that may wait."""
MOST_OF_ALL = 64
"""Pieces of all tenants that may wait."""

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
        self._running: Counter[str] = Counter()
        self._waiting: OrderedDict[str, deque[Work]] = OrderedDict()
        """By tenant, whose turn is next first."""
        self._lock = Lock()

    def check_room(self, tenant: str) -> None:
        """Raise `Busy` if a tenant's work could not wait."""
        with self._lock:
            mine = len(self._waiting.get(tenant, ()))
            if mine >= MOST_OF_ONE:
                raise Busy(f"{mine} of your operations wait for their turn already; at most {MOST_OF_ONE} may")
            everybodys = sum(map(len, self._waiting.values()))
        if everybodys >= MOST_OF_ALL:
            raise Busy(f"{everybodys} operations wait for their turn at this gateway; try again shortly")

    def has_room(self, tenant: str) -> bool:
        """Return whether a tenant's work can wait."""
        try:
            self.check_room(tenant)
        except Busy:
            return False
        return True

    def submit(self, tenant: str, work: Work) -> None:
        """Have `work` done when it is its turn. It must raise nothing."""
        with self._lock:
            self._waiting.setdefault(tenant, deque()).append(work)
        self._begin_next()

    def _begin_next(self) -> None:
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
