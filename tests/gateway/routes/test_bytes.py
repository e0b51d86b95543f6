"""Bytes that come in and go out: the budget of uploads, and ranges."""

import asyncio
from contextlib import ExitStack

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.requests import Request
from starlette.types import Message

from flstore_core.errors import Busy, RangeNotSatisfiable, TooLarge, TooSlow
from services.gateway.routes.downloads import byte_range
from services.gateway.routes.uploads import ByteBudget, receive
from tests.fakes.clock import Clock

MIB = 2**20


def test_the_example_of_the_budget() -> None:
    budget = ByteBudget(2048 * MIB, 1024 * MIB)
    with budget.hold(900 * MIB), budget.hold(900 * MIB):
        with pytest.raises(Busy, match=f"{1800 * MIB} of {2048 * MIB} bytes of uploads are in flight"):
            budget.hold(900 * MIB).__enter__()
        with pytest.raises(TooLarge, match=f"at most {1024 * MIB} are accepted"):
            budget.hold(1536 * MIB).__enter__()
    assert budget.used == 0


def test_no_body_is_larger_than_what_may_be_in_flight() -> None:
    with pytest.raises(TooLarge, match="at most 10 are accepted"):
        ByteBudget(10, 100).hold(11).__enter__()


@given(st.lists(st.integers(0, 12), max_size=12), st.integers(1, 20), st.integers(1, 12))
def test_the_budget_is_never_exceeded_and_given_back(sizes: list[int], limit: int, largest: int) -> None:
    budget = ByteBudget(limit, largest)
    with ExitStack() as uploads:
        held = 0
        for size in sizes:
            try:
                uploads.enter_context(budget.hold(size))
                held += size
            except Busy:
                assert size <= min(largest, limit) < held + size + min(largest, limit)
                assert held + size > limit
            except TooLarge:
                assert size > min(largest, limit)
            assert budget.used == held <= limit
    assert budget.used == 0


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

    body = await receive(request(10.0), MIB + 1, 1.0)
    assert bytes(body) == bytes(MIB) + b"x"
    with pytest.raises(TooSlow, match=f"{MIB} of the body's {MIB + 1} bytes came in time"):
        await receive(request(18.0), MIB + 1, 1.0)
