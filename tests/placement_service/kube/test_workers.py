"""Work for one key is serial and coalesced, work for several keys is parallel, and failures are retried."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.errors import Unavailable
from services.placement.kube.workers import FIRST_PAUSE_S, MOST_PAUSE_S, Workers
from tests.fakes.time import FakeTime, settle


class Shop:
    """Workers whose handler waits until the test lets it go on, and that says how its calls end."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.calls: list[str] = []
        self.under_way: list[str] = []
        self.outcomes: dict[str, list[bool | Exception]] = {}
        """Key → outcomes of its next calls; True once they are used up."""
        self.ended_well: dict[str, bool] = {}
        """Key → whether its last call succeeded."""
        self.open = asyncio.Event()
        self.open.set()
        self.workers = Workers("thing", self._handle, self.time)

    async def _handle(self, key: str) -> bool:
        self.calls.append(key)
        assert key not in self.under_way, "calls for one key are serial"
        self.under_way.append(key)
        try:
            await self.open.wait()
        finally:
            self.under_way.remove(key)
        outcome = self.outcomes[key].pop(0) if self.outcomes.get(key) else True
        self.ended_well[key] = not isinstance(outcome, Exception)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    here = Shop()
    try:
        yield here
    finally:
        await here.workers.close()


async def test_the_example_in_the_module_s_docstring() -> None:
    async with shop() as here:
        here.open.clear()
        here.workers.add("a")
        await settle()
        assert here.calls == ["a"]
        here.workers.add("a")
        here.workers.add("a")
        here.outcomes["a"] = [True, Unavailable("down"), Unavailable("still down"), False]
        here.open.set()
        await settle()
        assert here.calls == ["a"] * 2, "what is added many times meanwhile is handled once"
        await here.time.advance(0.4)
        assert here.calls == ["a"] * 2
        await here.time.advance(0.2)
        assert here.calls == ["a"] * 3, "after 0.5 s"
        await here.time.advance(0.8)
        assert here.calls == ["a"] * 3
        await here.time.advance(0.2)
        assert here.calls == ["a"] * 4, "1 s after that"
        await here.time.advance(1000.0)
        assert here.calls == ["a"] * 4, "a no longer exists"


async def test_keys_do_not_wait_for_each_other() -> None:
    async with shop() as here:
        here.open.clear()
        for key in "abc":
            here.workers.add(key)
        await settle()
        assert sorted(here.under_way) == ["a", "b", "c"]


async def test_adding_a_key_that_failed_does_not_shorten_its_pause() -> None:
    async with shop() as here:
        here.outcomes["a"] = [Unavailable("down")]
        here.workers.add("a")
        await settle()
        here.workers.add("a")
        await here.time.advance(FIRST_PAUSE_S - 0.1)
        assert here.calls == ["a"]
        await here.time.advance(0.2)
        assert here.calls == ["a", "a"]


async def test_pauses_grow_to_a_minute_and_begin_again_after_a_success() -> None:
    async with shop() as here:
        here.outcomes["a"] = [Unavailable("down")] * 12
        here.workers.add("a")
        pauses = [0.5 * 2**number for number in range(7)] + [MOST_PAUSE_S] * 5
        for pause in pauses:
            await here.time.advance(pause - 0.01)
            before = len(here.calls)
            await here.time.advance(0.01)
            assert len(here.calls) == before + 1
        here.outcomes["a"] = [Unavailable("down again")]
        here.workers.add("a")
        await settle()
        before = len(here.calls)
        await here.time.advance(FIRST_PAUSE_S)
        assert len(here.calls) == before + 1


async def test_a_key_that_is_added_while_it_ends_is_handled_again() -> None:
    async with shop() as here:
        here.open.clear()
        here.outcomes["a"] = [False]
        here.workers.add("a")
        await settle()
        here.workers.add("a")
        here.open.set()
        await settle()
        assert here.calls == ["a", "a"]


async def test_closing_cancels_work_and_waits_for_its_end() -> None:
    here = Shop()
    here.open.clear()
    here.workers.add("a")
    await settle()
    await here.workers.close()
    assert here.under_way == []
    here.open.set()
    here.workers.add("b")
    await settle()
    assert here.calls == ["a", "b"], "closed workers may be used for the next term"
    await here.workers.close()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.floats(0.0, 2.0)), max_size=20),
    st.dictionaries(st.sampled_from("abc"), st.lists(st.booleans(), max_size=4)),
)
async def test_the_last_addition_of_each_key_is_always_followed_by_a_call(
    additions: list[tuple[str, float]], failures: dict[str, list[bool]]
) -> None:
    async with shop() as here:
        here.outcomes = {key: [Unavailable("down") if bad else True for bad in plan] for key, plan in failures.items()}
        counted: dict[str, int] = {}
        for key, pause in additions:
            counted[key] = here.calls.count(key)
            here.workers.add(key)
            await here.time.advance(pause)
        await here.time.advance(600.0)
        for key, before in counted.items():
            assert here.calls.count(key) > before
            assert here.ended_well[key], "a failure is retried until a call succeeds"
