"""The outbox: slices on their way to shards, which no acknowledgement waits for.

A slice in a shard is soft state: a shard reads from the store what it was not sent. So each slice is sent once, and
dropped if that fails. Each shard has a *lane* of its own: a few threads, and a limit for the bytes of the uploads that
wait in it. A shard that hangs fills its own lane, and further slices for it are dropped at once.

Example, with lanes of 512 MiB and uploads of 100 MiB: shard A hangs. Four sends wait for its answer, and a fifth waits
in the queue, 500 MiB in all. The sixth upload's slice for A is dropped. Its slice for B is sent as usual, and so are
the slices of other jobs. After 60 s the four calls time out, the fifth is dropped because it has waited too long, and
the memory of all five is free. Until then it counts as in flight (`services.gateway.routes.uploads`).
"""

import logging
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, Future, wait
from functools import partial
from threading import Lock

from flstore_core.errors import FLStoreError
from flstore_core.ids import JobId
from flstore_core.shard.protocol import MemberRef, SliceRef
from services.gateway.backends.shards import Shards

logger = logging.getLogger(__name__)

LANE_SHARE = 4
"""A lane holds at most the budget of bytes in flight divided by this."""
STALE_S = 10.0
"""A slice that has waited in its lane for longer is dropped: if it was needed, its shard has read it from the store."""
FORGET_AFTER_S = 10.0
"""Longest wait, in seconds, for slices that are on their way before shards are told to forget a client or a job."""

Send = Callable[[], None]


class Outbox:
    """Sends slices to shards in the background. Safe to share between threads.

    Args:
        start_lane: returns the threads of one shard's lane.
        lane_bytes: bytes of all uploads whose slices wait in one lane. A single upload may be larger than that.
    """

    def __init__(
        self, shards: Shards, start_lane: Callable[[], Executor], clock: Callable[[], float], lane_bytes: int
    ) -> None:
        self._shards = shards
        self._start_lane = start_lane
        self._clock = clock
        self._lane_bytes = lane_bytes
        self._lanes: dict[str, _Lane] = {}
        self._under_way: dict[JobId, set[Future[None]]] = {}
        self._lock = Lock()

    def send(
        self,
        urls: Sequence[str],
        part: SliceRef,
        member: MemberRef,
        base: MemberRef | None,
        body: list[memoryview],
        upload_bytes: int,
    ) -> list[Future[None]]:
        """Begin to send a slice to each of its shards, or drop it. Nothing is raised.

        Args:
            body: views of the upload's memory, which has to stay until all the returned futures are done.
            upload_bytes: size of the whole upload, all of which the views keep in memory.

        Returns:
            A future for each shard that the slice is sent to. It has no result.
        """
        sends = []
        for url in urls:
            send = partial(self._shards.put_slice, [url], part, member, base, body)
            if future := self._lane(url).offer(send, part, member, upload_bytes):
                sends.append(future)
                self._note(part.job, future)
        return sends

    @property
    def due(self) -> int:
        """Slices that are on their way."""
        with self._lock:
            return sum(map(len, self._under_way.values()))

    def settle(self, job: JobId, patience_s: float) -> None:
        """Wait for the slices of a job that are on their way now, for at most `patience_s` seconds."""
        with self._lock:
            under_way = set(self._under_way.get(job, ()))
        wait(under_way, patience_s)

    def close(self) -> None:
        """Send nothing more."""
        with self._lock:
            for lane in self._lanes.values():
                lane.close()

    def _lane(self, url: str) -> "_Lane":
        with self._lock:
            if url not in self._lanes:
                self._lanes[url] = _Lane(self._start_lane(), self._clock, self._lane_bytes)
            return self._lanes[url]

    def _note(self, job: JobId, future: Future[None]) -> None:
        with self._lock:
            self._under_way.setdefault(job, set()).add(future)
        # Outside of the lock: if the future is done already, the callback runs here and now, and takes the lock itself.
        future.add_done_callback(partial(self._note_done, job))

    def _note_done(self, job: JobId, future: Future[None]) -> None:
        with self._lock:
            under_way = self._under_way[job]
            under_way.discard(future)
            if not under_way:
                del self._under_way[job]


class _Lane:
    """The slices on their way to one shard."""

    def __init__(self, threads: Executor, clock: Callable[[], float], limit: int) -> None:
        self._threads = threads
        self._clock = clock
        self._limit = limit
        self._slices: Counter[tuple[JobId, MemberRef]] = Counter()
        """How many slices of each upload are in this lane. All slices of one upload are views of one body."""
        self._nbytes = 0
        """Sum of those uploads' sizes. Each counts once, because its slices share one body."""
        self._lock = Lock()

    def offer(self, send: Send, part: SliceRef, member: MemberRef, nbytes: int) -> Future[None] | None:
        """Begin to send a slice; return None if there is no room for it."""
        upload = part.job, member
        with self._lock:
            if upload not in self._slices:
                # An empty lane takes any upload. Otherwise one that is larger than the limit would never be sent.
                if self._nbytes and self._nbytes + nbytes > self._limit:
                    _log_dropped(part, "its lane is full")
                    return None
                self._nbytes += nbytes
            self._slices[upload] += 1
        future = self._threads.submit(self._send, send, part, self._clock())
        future.add_done_callback(lambda _: self._make_room(upload, nbytes))
        return future

    def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _send(self, send: Send, part: SliceRef, offered_at: float) -> None:
        if self._clock() - offered_at > STALE_S:
            _log_dropped(part, "it waited too long")
            return
        try:
            send()
        except FLStoreError as error:
            _log_dropped(part, error.detail)

    def _make_room(self, upload: tuple[JobId, MemberRef], nbytes: int) -> None:
        with self._lock:
            self._slices[upload] -= 1
            if not self._slices[upload]:
                del self._slices[upload]
                self._nbytes -= nbytes


def _log_dropped(part: SliceRef, why: str) -> None:
    logger.warning("slice not sent", extra={"job": part.job, "slice": part.index, "error": why})
