"""Threads of a gateway: they know for which request they work, and refuse what would wait too long."""

import asyncio
from contextvars import ContextVar
from threading import Event, current_thread

import pytest

from flstore_core.errors import Busy
from services.gateway.threads import CALLER, SHARE, WAITING_PER_THREAD, Pool, Pools, Workers

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


def asking(workers: Workers, caller: str, done: list[str], gate: Event) -> asyncio.Task[None]:
    """Have a caller ask for a thread; `done` tells in which order callers had one."""

    def work() -> None:
        gate.wait()
        done.append(caller)

    async def ask() -> None:
        CALLER.set(caller)
        await workers.run(work)

    return asyncio.create_task(ask())


async def test_callers_take_turns() -> None:
    workers, gate, done = Workers(1), Event(), list[str]()
    asked = [asking(workers, caller, done, gate) for caller in ("a", "a", "a", "a", "b", "b", "c")]
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asked)
    assert done == ["a", "a", "b", "c", "a", "b", "a"]
    workers.shut_down()


async def test_one_caller_leaves_others_places_to_wait_in() -> None:
    workers, gate, done = Workers(2), Event(), list[str]()
    share = int(2 * WAITING_PER_THREAD * SHARE)
    asked = [asking(workers, "a", done, gate) for _ in range(2 + share)]
    await asyncio.sleep(0)
    with pytest.raises(Busy):
        await asking(workers, "a", done, gate)
    asked.append(asking(workers, "b", done, gate))
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(*asked)
    assert done.count("b") == 1
    assert done.index("b") <= 4
    workers.shut_down()


async def test_who_leaves_gives_the_turn_and_the_thread_on() -> None:
    workers, gate, done = Workers(1), Event(), list[str]()
    first, leaves, stays = (asking(workers, "a", done, gate) for _ in range(3))
    await asyncio.sleep(0)
    leaves.cancel()
    await asyncio.sleep(0)
    gate.set()
    await asyncio.gather(first, stays)
    first, leaves = asking(workers, "a", done, gate), asking(workers, "b", done, gate)
    await first
    leaves.cancel()  # at the moment in which the thread was passed on to it, or just before
    await asyncio.gather(leaves, return_exceptions=True)
    assert await workers.run(int) == 0, "no thread is lost"
    workers.shut_down()
