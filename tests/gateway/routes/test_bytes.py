"""Bytes that come in and go out: the budget of uploads, and ranges."""

import asyncio
import hashlib
from concurrent.futures import Future
from contextlib import ExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from flstore_core.errors import Busy, RangeNotSatisfiable, TooLarge, TooSlow
from services.gateway.routes import uploads
from services.gateway.routes.digests import Hashing
from services.gateway.routes.downloads import byte_range
from services.gateway.routes.uploads import ByteBudget, Hold, receive
from tests.fakes.clock import Clock
from tests.fakes.executors import HeldExecutor, InlineExecutor

MIB = 2**20


async def test_the_example_of_the_budget() -> None:
    budget = ByteBudget(2048 * MIB, 1024 * MIB)
    with budget.hold(900 * MIB) as one, budget.hold(900 * MIB) as other:
        await one.grow(900 * MIB)
        await other.grow(900 * MIB)
        with pytest.raises(Busy, match=f"{1800 * MIB} of {2048 * MIB} bytes of uploads are in flight"):
            budget.hold(900 * MIB).__enter__()
        with pytest.raises(TooLarge, match=rf"at most {1024 * MIB} are accepted \(FLSTORE_UPLOAD_LIMIT\)"):
            budget.hold(1536 * MIB).__enter__()
    assert budget.used == 0


async def test_one_slow_upload_leaves_the_budget_to_eighteen_others() -> None:
    budget = ByteBudget(2048 * MIB, 2048 * MIB)
    with budget.hold(2047 * MIB) as slow:
        await slow.grow(4 * MIB)
        for _ in range(18):
            with budget.hold(100 * MIB) as upload:
                await upload.grow(100 * MIB)
                assert budget.used == 104 * MIB
    assert budget.used == 0


async def test_one_caller_claims_only_a_share() -> None:
    budget = ByteBudget(100, 100)
    with budget.hold(40, "a"), budget.hold(35, "a"):
        with pytest.raises(Busy, match=r"your uploads under way have 75 bytes, and one caller's may have 75% of 100"):
            budget.hold(1, "a").__enter__()
        with budget.hold(75, "b"), budget.hold(90), budget.hold(90):
            pass
    with budget.hold(100, "a"):
        assert budget.used == 0, "one upload may be as large as any"


async def test_an_upload_waits_while_not_all_could_end() -> None:
    """The second example of the budget."""
    budget = ByteBudget(100, 100)
    with budget.hold(100) as a:
        with budget.hold(60) as b:
            await a.grow(10)
            await b.grow(30)
            growing = asyncio.create_task(a.grow(50))
            await asyncio.sleep(0)
            await b.grow(60)
            assert not growing.done()
        await growing
        assert budget.used == 50


async def test_an_upload_that_finds_no_room_in_time_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "ROOM_WAIT_S", 0.0)
    budget = ByteBudget(100, 100)
    with budget.hold(100) as a, budget.hold(60) as b:
        await a.grow(30)
        await b.grow(60)
        with pytest.raises(Busy, match="other uploads hold the memory that the rest of this one needs"):
            await a.grow(50)
    assert budget.used == 0


async def test_what_still_reads_a_body_keeps_it_counted() -> None:
    budget = ByteBudget(100, 100)
    done: Future[None] = Future()
    sending: Future[None] = Future()
    done.set_result(None)
    with budget.hold(60) as hold:
        await hold.grow(60)
        hold.keep_for([done, sending])
    assert budget.used == 60
    sending.set_result(None)
    await budget.wait_for_release()
    assert budget.used == 0


def test_no_body_is_larger_than_what_may_be_in_flight() -> None:
    with pytest.raises(TooLarge, match="at most 10 are accepted"):
        ByteBudget(10, 100).hold(11).__enter__()


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(1, 12)), max_size=40), st.integers(1, 20))
def test_the_budget_is_never_exceeded_and_every_upload_can_end(steps: list[tuple[int, int]], limit: int) -> None:
    """Six uploads claim and grow in any order; then those that the budget lets grow do so until none is left."""
    budget = ByteBudget(limit, limit)
    holds: dict[int, Hold] = {}
    blocks: dict[int, ExitStack] = {}
    for index, size in steps:
        if index not in holds and size <= limit:
            blocks[index] = ExitStack()
            with suppress(Busy):
                holds[index] = blocks[index].enter_context(budget.hold(size))
        elif index in holds:
            _grow(budget, holds[index], min(holds[index].nbytes + size, holds[index].claim))
        assert budget.used == sum(hold.nbytes for hold in holds.values()) <= limit
    while holds:
        index = next(index for index, hold in holds.items() if _grow(budget, hold, hold.claim))
        del holds[index]
        blocks[index].close()
    assert budget.used == 0


def _grow(budget: ByteBudget, hold: Hold, nbytes: int) -> bool:
    if not budget.may_grow(hold, nbytes):
        return False
    with pytest.raises(StopIteration):
        hold.grow(nbytes).send(None)
    return True


@pytest.mark.parametrize(
    ("header", "part"),
    [("bytes=10-19", (10, 20)), ("bytes=90-", (90, 100)), ("bytes=-7", (93, 100)), ("bytes=0-1,4-5", None), ("", None)],
)
def test_the_example_of_ranges(header: str, part: tuple[int, int] | None) -> None:
    assert byte_range(header, 100) == part


@given(st.integers(0, 30), st.integers(0, 30), st.integers(0, 20))
def test_a_range_is_what_a_slice_of_the_bytes_is(first: int, last: int, nbytes: int) -> None:
    """RFC 9110, section 14.1.2: `last` is inclusive and may lie beyond the end, an inverted range is none."""
    data = bytes(range(nbytes))
    if last < first:
        assert byte_range(f"bytes={first}-{last}", nbytes) is None
    elif first >= nbytes:
        with pytest.raises(RangeNotSatisfiable, match=f"outside of the object's {nbytes} bytes"):
            byte_range(f"bytes={first}-{last}", nbytes)
    else:
        start, stop = byte_range(f"bytes={first}-{last}", nbytes) or (-1, -1)
        assert data[start:stop] == data[first : last + 1]


async def test_a_body_has_the_time_that_the_slowest_rate_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """1 MiB at 64 KiB a second: 16 s beside the patience of 1 s. After 10 s it is in time, after 18 s it is not."""
    clock = Clock()
    monkeypatch.setattr(asyncio.get_running_loop(), "time", clock)

    def request(pause: float) -> Request:
        messages = [(0.0, bytes(MIB), True), (pause, b"x", False)]

        async def take() -> Message:
            seconds, body, more = messages.pop(0)
            clock.sleep(seconds)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            return {"type": "http.request", "body": body, "more_body": more}

        return Request({"type": "http", "headers": []}, take)

    budget = ByteBudget(2 * MIB, 2 * MIB)
    with budget.hold(MIB + 1) as hold:
        received = await receive(request(10.0), hold, 1.0, InlineExecutor())
    assert bytes(received.body) == bytes(MIB) + b"x"
    assert received.sha256 == hashlib.sha256(received.body).hexdigest()
    too_slow = pytest.raises(TooSlow, match=f"{MIB} of the body's {MIB + 1} bytes came in time")
    with budget.hold(MIB + 1) as hold, too_slow:
        await receive(request(18.0), hold, 1.0, InlineExecutor())


@given(st.lists(st.integers(0, 3 * MIB), max_size=6), st.integers(0, 2 * MIB))
async def test_a_body_is_hashed_whole_however_it_comes(sizes: list[int], rest: int) -> None:
    """A thread that is slow is given more to do at once."""
    content = memoryview(bytes(MIB) * 20)[: sum(sizes) + rest]
    threads, received = HeldExecutor(), 0
    hashing = Hashing(content, threads)
    for size in sizes:
        received += size
        hashing.go_on(received)
        await asyncio.sleep(0)
    finishing = asyncio.create_task(hashing.finish())
    while not finishing.done():
        threads.run_all()
        await asyncio.sleep(0)
    assert finishing.result() == hashlib.sha256(content).hexdigest()
