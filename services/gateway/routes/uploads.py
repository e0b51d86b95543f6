"""Receives the whole body of an upload into memory set aside for it, and counts the bytes that are in flight."""

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass

import numpy as np
from starlette.requests import Request

from flstore_core import buffers
from flstore_core.errors import Busy, InvalidParameters, LengthRequired, TooLarge, TooSlow
from services.gateway.routes import digests
from services.gateway.threads import CALLER, SHARE

SLOWEST = 64 << 10
"""Least rate at which a body has to come, in bytes a second: half a megabit."""
STEP = 4 << 20
"""Bytes by which the memory of an upload grows."""
ROOM_WAIT_S = 10.0
"""Seconds that an upload which is half received may wait for others to give memory back."""


class ByteBudget:
    """Bytes of uploads that may be in memory at once. Used from the event loop only.

    A gateway that refuses early does not run out of memory. Example, with a limit of 2 GiB and a largest body of 1 GiB:
    while two bodies of 900 MiB are in flight, a third one of 900 MiB is answered 429, and one of 1.5 GiB 413.

    Bytes count as they arrive. An upload *claims* all of its bytes, and *holds* those that have come, so a slow upload
    takes little from others. If all claims fit together, each upload gets its bytes as they come. If they do not, an
    upload gets more only if all uploads can still be completed one after the other: each in the memory that is free
    and that those before it gave back (Dijkstra's banker's algorithm, EWD 623, 1977). So uploads never wait for each
    other in a circle.

    Example, with a limit of 100: A claims 100 and holds 10, B claims 60 and holds 30, so 60 are free. B may grow to
    all of its 60: B is completed first, and gives back enough for A. But A may not grow to 50. Only 20 would be free
    then, and A would need 50 more and B 30 more, so neither could be completed. A waits until B is.
    """

    def __init__(self, limit: int, largest: int) -> None:
        self._limit = limit
        self._largest = min(largest, limit)
        self._holds: set[Hold] = set()
        self._claimed = 0
        self._released = asyncio.Event()
        self.used = 0
        """Bytes that are held."""

    @contextmanager
    def hold(self, nbytes: int, caller: str = "") -> Iterator["Hold"]:
        """Let an upload claim `nbytes` until the block has ended and nothing reads its body any more (`keep_for`).

        Args:
            caller: who uploads; one caller's uploads may claim only `SHARE` of the limit together, but for one upload,
                which may always be as large as any. "" is everybody, and may claim all.

        Raises:
            TooLarge: if no body may be that large.
            Busy: if the body is not too large, but does not fit beside what others hold now, or what the caller claims.
        """
        if nbytes > self._largest:
            settings = "FLSTORE_UPLOAD_LIMIT" + (" and FLSTORE_IN_FLIGHT_BYTES" if self._largest == self._limit else "")
            raise TooLarge(f"the body has {nbytes} bytes; at most {self._largest} are accepted ({settings})")
        if self.used + nbytes > self._limit:
            held = f"{self.used} of {self._limit} bytes of uploads are in flight"
            raise Busy(f"{held} (FLSTORE_IN_FLIGHT_BYTES); try again shortly")
        claimed = sum(hold.claim for hold in self._holds if hold.caller == caller) if caller else 0
        if claimed and claimed + nbytes > SHARE * self._limit:
            share = f"{SHARE:.0%} of {self._limit} bytes (FLSTORE_IN_FLIGHT_BYTES)"
            raise Busy(
                f"your uploads under way have {claimed} bytes, and one caller's may have {share}; try again shortly"
            )
        hold = Hold(self, nbytes, caller)
        self._holds.add(hold)
        self._claimed += nbytes
        try:
            yield hold
        finally:
            hold.end()

    def may_grow(self, hold: "Hold", nbytes: int) -> bool:
        """Return whether all uploads can still be completed if `hold` grows to `nbytes`."""
        if self._claimed <= self._limit:
            return True
        free = self._limit - self.used - (nbytes - hold.nbytes)
        held = {**{other: other.nbytes for other in self._holds}, hold: nbytes}
        # Complete the uploads in thought, the one that lacks least first. If that one cannot be completed, none can,
        # since the others lack as much or more; if it can, it gives back all that it holds.
        for missing, nbytes_held in sorted((other.claim - held[other], held[other]) for other in held):
            if missing > free:
                return False
            free += nbytes_held
        return free >= 0

    async def wait_for_release(self) -> None:
        """Return once an upload has given back what it held."""
        await self._released.wait()

    def release(self, hold: "Hold") -> None:
        """Take back all that an upload claims and holds."""
        self._holds.remove(hold)
        self._claimed -= hold.claim
        self.used -= hold.nbytes
        self._released.set()  # wakes all who wait now; who waits from now on waits for the next release
        self._released = asyncio.Event()


class Hold:
    """The bytes of a budget that one upload claims, and those that it holds."""

    def __init__(self, budget: ByteBudget, claim: int, caller: str) -> None:
        self._budget = budget
        self.caller = caller
        self._readers: list[Future[None]] = []
        self.claim = claim
        self.nbytes = 0

    async def grow(self, nbytes: int) -> None:
        """Hold `nbytes` from now on; raise `Busy` if there is no room for them within `ROOM_WAIT_S` seconds."""
        if not self._budget.may_grow(self, nbytes):
            await self._wait_for_room(nbytes)
        # No `await` may come between the check above and the lines below, or another upload could take the room.
        self._budget.used += nbytes - self.nbytes
        self.nbytes = nbytes

    async def _wait_for_room(self, nbytes: int) -> None:
        try:
            async with asyncio.timeout(ROOM_WAIT_S):
                while not self._budget.may_grow(self, nbytes):
                    await self._budget.wait_for_release()
        except TimeoutError as error:
            raise Busy("other uploads hold the memory that the rest of this one needs; try again shortly") from error

    def keep_for(self, readers: Iterable[Future[None]]) -> None:
        """Hold the memory until all of `readers` are done with the body, even if the upload is answered before."""
        self._readers += readers

    def end(self) -> None:
        """Give everything back as soon as nobody reads the body any more."""
        reading = [asyncio.wrap_future(reader) for reader in self._readers if not reader.done()]
        if not reading:
            self._budget.release(self)
            return
        all_done = asyncio.gather(*reading, return_exceptions=True)
        all_done.add_done_callback(lambda _: self._budget.release(self))


@dataclass(frozen=True, slots=True)
class Received:
    """The gateway's only copy of a body, with its hash."""

    body: memoryview
    sha256: str
    hold: Hold


@asynccontextmanager
async def upload(request: Request, budget: ByteBudget, patience_s: float, threads: Executor) -> AsyncIterator[Received]:
    """Receive the body, and count it against the budget until `Hold.end` gives it back, which the block's end calls.

    Raises:
        LengthRequired: if the request does not say how long the body is.
        TooLarge, Busy: as `ByteBudget.hold`.
        TooSlow, InvalidParameters: as `receive`.
        DigestMismatch: if the body is not the one that the request's Content-Digest states.
    """
    nbytes, stated = content_length(request), digests.stated_sha256(request)
    with budget.hold(nbytes, CALLER.get()) as hold:
        received = await receive(request, hold, patience_s, threads)
        digests.check(stated, received.sha256)
        yield received


def content_length(request: Request) -> int:
    """Return how many bytes the body has; raise `LengthRequired` if the request does not say."""
    text = request.headers.get("content-length", "")
    if not text.isdecimal() or "transfer-encoding" in request.headers:
        raise LengthRequired("send Content-Length, so that memory can be set aside for the body")
    return int(text)


async def receive(request: Request, hold: Hold, patience_s: float, threads: Executor) -> Received:
    """Receive the body that `hold` claims memory for, and hash it in `threads` meanwhile.

    Raises:
        TooSlow: as soon as the body is `patience_s` seconds behind a rate of `SLOWEST`. A slow body holds memory that
            others wait for.
        Busy: if there is no room for the rest of the body in time.
        InvalidParameters: if the body is shorter than Content-Length says.
    """
    nbytes, clock = hold.claim, asyncio.get_running_loop().time
    body: memoryview = buffers.empty(nbytes, np.uint8).data
    hashing = digests.Hashing(body, threads)
    received, began = 0, clock()
    try:
        async with asyncio.timeout(patience_s) as limit:
            async for chunk in request.stream():
                end = received + len(chunk)
                if end > hold.nbytes:
                    # Waiting for room is not the caller's fault, so the time limit is moved on by that time.
                    limit.reschedule(None)
                    asked = clock()
                    await hold.grow(min(nbytes, max(end, hold.nbytes + STEP)))
                    began += clock() - asked
                body[received:end] = chunk
                received = end
                hashing.go_on(received)
                limit.reschedule(began + patience_s + received / SLOWEST)
    except TimeoutError as error:
        detail = f"{received} of the body's {nbytes} bytes came in time; send at least {SLOWEST} a second"
        raise TooSlow(f"{detail}, or raise FLSTORE_UPLOAD_PATIENCE_SECONDS") from error
    if received != nbytes:
        raise InvalidParameters(f"the body has {received} bytes; Content-Length says {nbytes}")
    return Received(body, await hashing.finish(), hold)
