"""Worker threads that know for which request they work, and a queue before them that ends somewhere."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import copy_context
from functools import partial
from typing import Any, ParamSpec, TypeVar

from flstore_core.errors import Busy

P = ParamSpec("P")
T = TypeVar("T")

WAITING_PER_THREAD = 8
"""Requests that may wait for each thread before further ones are told to come back."""


class Pool(ThreadPoolExecutor):
    """A pool whose work carries the caller's context, so that its logs and calls have the request's id."""

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        return super().submit(copy_context().run, fn, *args, **kwargs)


class Workers:
    """Runs the blocking part of requests.

    On the event loop's own executor protocol: a quarter of what a hop through anyio's limiter costs where many
    requests are under way.
    """

    def __init__(self, threads: int) -> None:
        self.pool = Pool(threads, thread_name_prefix="request")
        self._room = threads * (1 + WAITING_PER_THREAD)

    async def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Return what `function` returns, called in a thread; raise `Busy` where too many wait for one already."""
        if not self._room:
            raise Busy("every worker of this gateway is taken and many wait; try again shortly")
        self._room -= 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, partial(function, *args, **kwargs))
        finally:
            self._room += 1
