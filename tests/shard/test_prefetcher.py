"""Prefetches run one at a time, only while nobody waits for an answer, and a shard comes back warm."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

import pytest

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.ids import ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.shard import working_set
from flstore_core.shard.engine import Engine
from flstore_core.shard.protocol import MemberRef, SliceRef
from services.common.activity import Activity
from services.common.tasks import end
from services.shard import prefetcher as prefetcher_module
from services.shard.prefetcher import Prefetcher
from tests.fakes.clock import Clock
from tests.fakes.store import Call, MemoryStore
from tests.waiting import soon

PART = SliceRef(JobId("j"), "digest", 1, 0)


def key(name: str) -> Key:
    return Key("j", 1, name, 0)


class FakeEngine:
    """Notes what it is told to prefetch; what is in `trouble` fails."""

    def __init__(self) -> None:
        self.fetched: list[tuple[str, Pattern, MemberRef | None]] = []
        self.trouble: set[str] = set()
        self.held: list[tuple[SliceRef, MemberRef]] = []

    def prefetch(self, part: SliceRef, key: Key, pattern: Pattern, member: MemberRef | None = None) -> None:
        if key.client in self.trouble:
            raise NotFound("gone")
        self.fetched.append((key.client, pattern, member))

    def working_set(self) -> list[tuple[SliceRef, MemberRef]]:
        return self.held


class World:
    def __init__(self) -> None:
        self.store = MemoryStore()
        self.engine: Any = FakeEngine()
        self.activity = Activity(Clock())
        self.prefetcher = Prefetcher("s", self.store, cast(Engine, self.engine), self.activity)

    def add(self, *names: str, pattern: Pattern = Pattern.P2) -> None:
        self.prefetcher.add(PART, [({key(name): 10 for name in names}, pattern)])

    @property
    def fetched(self) -> list[str]:
        return [name for name, _, _ in self.engine.fetched]

    def wake(self) -> None:
        with self.activity.request():
            pass

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.prefetcher.run())
        try:
            yield
        finally:
            await end(task)


async def let_others_run() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_what_was_added_is_fetched_in_order_with_its_pattern() -> None:
    world = World()
    world.add("a", "b")
    world.add("c", pattern=Pattern.P3)
    assert world.prefetcher.due == 3
    world.wake()
    async with world.running():
        await soon(lambda: world.prefetcher.due == 0)
    assert world.engine.fetched == [("a", Pattern.P2, None), ("b", Pattern.P2, None), ("c", Pattern.P3, None)]


async def test_nothing_is_fetched_before_the_first_request_was_answered() -> None:
    world = World()
    world.add("a")
    async with world.running():
        await let_others_run()
        assert world.fetched == []
        world.wake()
        await soon(lambda: world.fetched == ["a"])


async def test_prefetches_wait_while_a_request_is_in_flight() -> None:
    world = World()
    world.wake()
    async with world.running():
        await let_others_run()
        with world.activity.request():
            world.add("a", "b")
            await let_others_run()
            assert world.fetched == []
            assert world.prefetcher.due == 2
        await soon(lambda: world.fetched == ["a", "b"])


async def test_one_that_fails_does_not_keep_the_others(caplog: pytest.LogCaptureFixture) -> None:
    world = World()
    world.engine.trouble = {"b"}
    world.add("a", "b", "c")
    world.wake()
    async with world.running():
        await soon(lambda: world.prefetcher.due == 0)
    assert world.fetched == ["a", "c"]
    assert "prefetch failed" in caplog.text


async def test_a_full_queue_drops_what_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prefetcher_module, "WAITING", 3)
    world = World()
    world.add("a", "b", "c", "d", "e")
    assert world.prefetcher.due == 3
    world.wake()
    async with world.running():
        await soon(lambda: world.prefetcher.due == 0)
    assert world.fetched == ["a", "b", "c"]


async def test_a_shard_comes_back_with_what_it_held_before_what_its_policy_wants() -> None:
    world = World()
    member = MemberRef(4, ClientId("x"), "sha", 120)
    world.engine.held = [(PART, member)]
    await world.prefetcher.save()
    world.wake()
    async with world.running():
        await soon(lambda: world.fetched == ["x"])
        world.add("later")
        await soon(lambda: world.fetched == ["x", "later"])
    assert world.engine.fetched[0] == ("x", Pattern.P2, member)


async def test_a_store_that_is_away_costs_warmth_and_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    world = World()

    def away(call: Call) -> None:
        raise StoreUnavailable("away")

    world.store.before = away
    await world.prefetcher.save()
    assert "the working set was not written" in caplog.text
    world.wake()
    async with world.running():
        world.add("a")
        await soon(lambda: world.fetched == ["a"])
    assert "the working set was not read" in caplog.text


async def test_what_is_saved_is_what_the_engine_holds_now() -> None:
    world = World()
    world.engine.held = [(PART, MemberRef(number, ClientId("c"), "sha", 8)) for number in (1, 2)]
    await world.prefetcher.save()
    assert layout.working_set("s") in world.store.contents
    assert [member.round for _, _, _, member in working_set.load(world.store, "s")] == [2, 1]
