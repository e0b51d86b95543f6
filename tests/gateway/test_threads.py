"""Threads of a gateway: they know for which request they work, and refuse what would wait too long."""

import asyncio
from contextvars import ContextVar
from threading import Event, current_thread

import pytest

from flstore_core.errors import Busy
from services.gateway.threads import WAITING_PER_THREAD, Pool, Pools, Workers

REQUEST = ContextVar("request", default="none")


def test_work_carries_the_caller_s_context() -> None:
    with Pool(1) as pool:
        token = REQUEST.set("trace-1")
        future = pool.submit(REQUEST.get)
        REQUEST.reset(token)
        assert future.result() == "trace-1"
        assert pool.submit(REQUEST.get).result() == "none"


def test_each_pool_has_threads_of_its_own() -> None:
    pools = Pools.start()
    executors = (pools.readers, pools.refreshers, pools.writers, pools.callers, pools.background)
    names = [executor.submit(lambda: current_thread().name).result() for executor in executors]
    assert [name.partition("_")[0] for name in names] == ["read", "refresh", "write", "call", "operation"]
    pools.shut_down()
    for executor in executors:
        with pytest.raises(RuntimeError, match="after shutdown"):
            executor.submit(int)


async def test_results_and_errors_come_back() -> None:
    workers = Workers(1)
    assert await workers.run(pow, 2, 5) == 32
    with pytest.raises(ZeroDivisionError):
        await workers.run(lambda: 1 // 0)
    workers.shut_down()


async def test_a_full_queue_raises_busy_at_once() -> None:
    workers, gate = Workers(2), Event()
    room = 2 * (1 + WAITING_PER_THREAD)
    waiting = [asyncio.ensure_future(workers.run(gate.wait)) for _ in range(room)]
    await asyncio.sleep(0)
    with pytest.raises(Busy, match="all workers of this gateway are busy"):
        await workers.run(int)
    gate.set()
    assert await asyncio.gather(*waiting) == [True] * room
    assert await workers.run(int) == 0, "there is room again"
    workers.shut_down()
