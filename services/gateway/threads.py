"""Thread pools whose work knows the request that it belongs to, and bounded queues of requests before them."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from contextvars import ContextVar, copy_context
from dataclasses import dataclass
from functools import partial
from typing import Any, ParamSpec, TypeVar

from flstore_core.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")

OPERATIONS = 4
"""Long operations that run at once; `services.gateway.answers.queue` decides whose is next."""
KEEPERS = 4
"""Aggregates that clients may have, and that are stored at once."""
WAITING_PER_THREAD = 8
"""Requests that may wait for each thread; further ones are answered 429."""
SHARE = 0.75
"""Most that one caller may have of what all callers share: of the places to wait in, and of the bytes in flight."""

CALLER: ContextVar[str] = ContextVar("caller", default="")
"""Who sent the request that is being answered: a name of the token, "" where there are no tokens."""


class Pool(ThreadPoolExecutor):
    """A pool whose work carries the caller's context, so that its logs and calls have the request's id."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


@dataclass(frozen=True, slots=True)
class Pools:
    """A gateway's thread pools.

    Work in one pool may wait for work in another one, never in its own: if all threads of a pool waited for work that
    is queued behind them, none would be left to do it. Each field says for which pools its work waits.
    """

    readers: Executor
    """Read small objects from the store. Wait for no other pool."""
    refreshers: Executor
    """Refresh the catalog. Wait for `readers`."""
    writers: Executor
    """Write models to the store."""
    callers: Executor
    """Call shards and wait for their answers."""
    background: Executor
    """Run long operations. Wait for all other pools."""
    keepers: Executor
    """Store aggregates that clients may have already. Wait for `readers` and `writers`."""

    @classmethod
    def start(cls) -> "Pools":
        """Return the pools. A thread starts when it is first needed."""
        return cls(
            readers=Pool(16, thread_name_prefix="read"),
            refreshers=Pool(4, thread_name_prefix="refresh"),
            writers=Pool(32, thread_name_prefix="write"),
            callers=Pool(64, thread_name_prefix="call"),
            background=Pool(OPERATIONS, thread_name_prefix="operation"),
            keepers=Pool(KEEPERS, thread_name_prefix="keep"),
        )

    def shut_down(self) -> None:
        """Start no further work, and let running work finish."""
        for pool in (self.readers, self.refreshers, self.writers, self.callers, self.background, self.keepers):
            pool.shutdown(wait=False, cancel_futures=True)


def start_lane() -> Executor:
    """Return threads that send slices to one shard. A thread starts when it is first needed."""
    return Pool(4, thread_name_prefix="send")


class Workers:
    """Runs the blocking part of requests. Used from the event loop's thread only.

    While a thread is free, a request gets it at once. Otherwise it waits, and callers take turns: of one caller with a
    hundred requests and another with one, the other's is next. Who the caller is, `CALLER` says.

    This hands work to threads through the event loop's own executor. With many requests under way, that takes a
    quarter of the time that anyio's limiter takes.
    """

    def __init__(self, threads: int) -> None:
        self.pool = Pool(threads, thread_name_prefix="request")
        self._free = threads
        """Threads without a request. While there is one, nobody waits."""
        self._most = threads * WAITING_PER_THREAD
        self._waiting: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()
        """By caller; the caller whose turn is next comes first."""

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns in a thread; raise `Busy` if too many requests wait for a thread."""
        if self._free:
            self._free -= 1
        else:
            await self._wait()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, partial(function, *args, **kwargs))
        finally:
            self._pass_on()

    def shut_down(self) -> None:
        """Start no further work, and let running work finish."""
        self.pool.shutdown(wait=False, cancel_futures=True)

    async def _wait(self) -> None:
        """Return once a thread was passed on to this request."""
        caller = CALLER.get()
        of_one, of_all = len(self._waiting.get(caller, ())), sum(map(len, self._waiting.values()))
        if of_all >= self._most or (caller and of_one >= self._most * SHARE):
            raise Busy("all workers of this gateway are busy (FLSTORE_THREADS) and many requests wait; try again")
        turn = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(caller, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if not turn.cancelled():  # the thread came at the moment in which the caller left
                self._pass_on()
            raise

    def _pass_on(self) -> None:
        """Give a thread to the request whose turn is next; keep it free if none waits."""
        while self._waiting:
            caller, turns = next(iter(self._waiting.items()))
            turn = turns.popleft()
            self._waiting.move_to_end(caller)
            if not turns:
                del self._waiting[caller]
            if not turn.done():  # it is if its caller has left
                turn.set_result(None)
                return
        self._free += 1
