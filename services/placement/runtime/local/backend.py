"""One backend of the local runtime, from zero to awake and back, again and again.

The backend owns a listening socket for its whole life, and at most one process at a time that accepts from it:

                 a connection waits          greeting              ends, or is told to
        ZERO ───────────────────────▶ STARTING ───────▶ AWAKE ───────────────────────▶ ZERO
          ▲                               │                │
          └── ends before its greeting ───┘                └── close(): LEAVING, then ZERO

LEAVING lasts from SIGTERM to the end of a process that this runtime ends, because the backend is removed or because
its greeting did not come within `START_LIMIT_S`. A process that ends by itself goes straight to ZERO.

How a process ended decides what the next start reports and how long it waits. Example: a shard with `idle_s=60` is
asked at t = 0 s and again at t = 100 s. It is killed at t = 200 s while a request is on its way, and crashes at its
next start:

    t = 0.0     a connection waits: start, cause `request`, reason ``
    t = 0.6     greeting: awake after 0.6 s
    t = 61      ends with exit code 0: it was idle
    t = 100     a connection waits: start, cause `request`, reason `idle`
    t = 200     ends by SIGKILL: failures = 1, pause 0.1 s
    t = 200.1   start, cause `replacement`, reason `SIGKILL`
    t = 200.5   ends before its greeting: failures = 2, pause 0.2 s (then 0.4, 0.8 … up to 30 s)

If a process lived for `STABLE_AFTER_S` and then fails, that is the first failure of a new series.
"""

import asyncio
import logging
import socket
from asyncio.subprocess import Process
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from flstore_core.retry import Retry
from services.common import tasks
from services.placement.runtime.base import (
    RECENT_STARTS,
    BackendSpec,
    BackendState,
    Cause,
    End,
    Phase,
    Start,
    Watcher,
)
from services.placement.runtime.local.process import Program, describe_exit, read_greeting
from services.placement.timing import Time, run_within

logger = logging.getLogger(__name__)

START_LIMIT_S = 60.0
"""A process that has not greeted within so many seconds is ended, and another one is started."""

STABLE_AFTER_S = 10.0
"""A process that lived for so many seconds is no part of a crash loop: the next pause is the shortest again."""

IDLE = "idle"


@dataclass(frozen=True)
class _Ending:
    """How a process ended."""

    reason: str
    clean: bool = False
    """Whether it left of its own accord, with exit code 0, after it had been ready."""
    stable: bool = False
    """Whether it had been ready and lived for `STABLE_AFTER_S`."""


class LocalBackend:
    """Starts a process when a connection waits, and the next one when that has ended and a connection waits again."""

    def __init__(
        self, spec: BackendSpec, listening: socket.socket, program: Program, watcher: Watcher, time: Time
    ) -> None:
        self.spec = spec
        self._listening = listening
        self._program = program
        self._watcher = watcher
        self._time = time
        self._attempts = Retry().begin()
        self._phase = Phase.ZERO
        self._process: Process | None = None
        self._begun_at = 0.0
        self._awake_s = 0.0
        self._starts = 0
        self._recent: deque[Start] = deque(maxlen=RECENT_STARTS)
        self._last_ending: _Ending | None = None
        self._direct_url: str | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the one task that runs this backend's processes."""
        self._task = tasks.begin(self._live(), f"backend {self.spec.id}")

    async def close(self) -> None:
        """End the process, if there is one, and close the socket."""
        if self._task is not None:
            await tasks.end(self._task)
        self._listening.close()

    def state(self) -> BackendState:
        port = self._listening.getsockname()[1]
        return BackendState(
            id=self.spec.id,
            phase=self._phase,
            url=f"http://127.0.0.1:{port}",
            pid=self._process.pid if self._process else None,
            starts=self._starts,
            recent_starts=tuple(self._recent),
            last_end=self._last_end(),
            failures=self._attempts.failures,
            awake_s=self._awake_s + (self._age_s() if self._phase is not Phase.ZERO else 0.0),
            kind=self.spec.kind,
            direct_url=self._direct_url,
        )

    async def _live(self) -> None:
        while True:
            await self._wait_for_connection()
            await self._time.sleep(self._attempts.pause_s)
            self._note_ending(await self._run_process())

    async def _wait_for_connection(self) -> None:
        # The socket is only watched, not accepted from: the process that is started accepts the connection itself.
        loop, waits = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._listening.fileno(), waits.set)
        try:
            await waits.wait()
        finally:
            loop.remove_reader(self._listening.fileno())

    async def _run_process(self) -> _Ending:
        """Run one process from its start to its end."""
        try:
            async with self._process_alive() as (process, lifeline):
                if ready := await self._greet(lifeline):
                    await process.wait()
                age_s = self._age_s()
        except OSError as error:
            logger.error("%s cannot be started: %s", self.spec.id, error)
            return _Ending(f"cannot be started: {error.strerror}")
        if not ready and age_s >= START_LIMIT_S:
            return _Ending(f"not ready within {START_LIMIT_S:.0f} s")
        assert process.returncode is not None
        clean = ready and process.returncode == 0
        reason = IDLE if clean and self.spec.idle_s else describe_exit(process.returncode)
        return _Ending(reason, clean, ready and age_s >= STABLE_AFTER_S)

    @asynccontextmanager
    async def _process_alive(self) -> AsyncIterator[tuple[Process, socket.socket]]:
        """Start a process, and end it when the block ends, however that is, unless it has ended by itself."""
        self._begun_at = self._time.monotonic()
        self._starts += 1
        self._enter(Phase.STARTING)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            # Only the child may have `theirs`. If a copy stayed open here, its end would not close the lifeline.
            with theirs:
                self._process = await self._program.start(self.spec, self._listening, theirs)
            yield self._process, ours
        finally:
            if self._process is not None and self._process.returncode is None:
                self._enter(Phase.LEAVING)
                await self._program.end(self._process, self._time)
            ours.close()
            self._process = self._direct_url = None
            self._awake_s += self._age_s()
            self._enter(Phase.ZERO)

    async def _greet(self, lifeline: socket.socket) -> bool:
        """Wait until the process answers and return True; return False if it ends before that, or takes too long."""
        port = await run_within(self._time, START_LIMIT_S, read_greeting(lifeline))
        if port is None:
            return False
        self._direct_url = f"http://127.0.0.1:{port}" if port else None
        start = self._describe_start()
        self._recent.append(start)
        self._watcher.started(self.spec.id, start)
        self._enter(Phase.AWAKE)
        return True

    def _describe_start(self) -> Start:
        reason = self._last_ending.reason if self._last_ending else ""
        cause = Cause.REPLACEMENT if self._attempts.failures else Cause.REQUEST
        return Start(cause, reason, self._age_s(), self._time.now())

    def _last_end(self) -> End | None:
        ending = self._last_ending if self._phase is Phase.ZERO else None
        return End(ending.reason, ending.clean) if ending else None

    def _note_ending(self, ending: _Ending) -> None:
        self._last_ending = ending
        if ending.clean or ending.stable:
            self._attempts.succeeded()
        if not ending.clean:
            self._attempts.failed()
            pause = {"shard": self.spec.id, "reason": ending.reason, "pause_s": self._attempts.pause_s}
            logger.warning("%s ended unexpectedly", self.spec.id, extra=pause)

    def _age_s(self) -> float:
        return self._time.monotonic() - self._begun_at

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._watcher.changed(self.state())
