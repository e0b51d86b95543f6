"""The processes of programs: one for each request under way, and a few that wait for the next one.

A process has one job's program for its whole life. Between two requests it waits, with the program loaded and its
models mapped; after `IDLE_S` seconds, or when another program needs its place, it is ended.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Condition

from flstore_core.ids import JobId
from flstore_core.models.base import Program
from flstore_core.models.running import Running
from services.predictor.confined.launch import Launcher
from services.predictor.confined.limits import Bounds
from services.predictor.confined.process import LOOK_EVERY_S, ConfinedProcess

IDLE_S = 60.0
"""Seconds after which a process that nobody uses is ended."""


@dataclass
class _Entry:
    """A process and the program that it has."""

    program: Program
    process: ConfinedProcess
    idle_since: float = 0.0


class Pool:
    """Implements `flstore_core.models.base.Processes`.

    Args:
        bounds: of each process.
        run_bytes: memory that a program's intermediate results may hold at one time.
        most: processes that there may be at one time.
        clock: seconds, never going back.
    """

    def __init__(
        self, launcher: Launcher, bounds: Bounds, run_bytes: int, most: int, clock: Callable[[], float]
    ) -> None:
        self.bounds = bounds
        self._launcher = launcher
        self._run_bytes = run_bytes
        self._most = most
        self._clock = clock
        self._changed = Condition()
        """Guards what follows."""
        self._idle: list[_Entry] = []
        """The one that waits for the longest is first."""
        self._busy: list[_Entry] = []
        self._starting = 0

    def start(self) -> None:
        """Make the first process quick to start."""
        self._launcher.start()

    @contextmanager
    def lease(self, program: Program, running: Running) -> Iterator[ConfinedProcess]:
        """Return a process that has loaded `program` and that nobody else uses meanwhile."""
        entry = self._waiting(program, running) or self._started(program, running)
        try:
            with entry.process.request(running):
                yield entry.process
        finally:
            self._give_back(entry)

    def forget(self, job: JobId) -> None:
        """End the processes of a deleted job."""
        with self._changed:
            for entry in self._busy:
                if entry.program.job == job:
                    entry.process.spoiled = True  # ended when its request is
            self._end([entry for entry in self._idle if entry.program.job == job])

    def tidy(self) -> None:
        """End processes that nobody has used for long, and free what the others need no more."""
        with self._changed:
            self._end([entry for entry in self._idle if self._clock() - entry.idle_since >= IDLE_S])
            for entry in self._idle:
                entry.process.tidy()
            self._end([entry for entry in self._idle if entry.process.spoiled])

    def close(self) -> None:
        """End all processes."""
        with self._changed:
            self._end(list(self._idle))
        self._launcher.close()

    def _waiting(self, program: Program, running: Running) -> _Entry | None:
        """Return a process that has the program; or None, once there is room for another."""
        with self._changed:
            while True:
                if entry := self._fit(program):
                    self._idle.remove(entry)
                    self._busy.append(entry)
                    return entry
                if len(self._idle) + len(self._busy) + self._starting < self._most:
                    self._starting += 1
                    return None
                if self._idle:
                    self._end(self._idle[:1])
                else:
                    self._changed.wait(LOOK_EVERY_S)
                    running.check()

    def _fit(self, program: Program) -> _Entry | None:
        """Return an idle process that has the program; end those that have ended by themselves meanwhile.

        Such an end, by the kernel for want of memory, say, is no fault of the next request, which would be told of it.
        """
        for entry in [each for each in reversed(self._idle) if _is_same(each.program, program)]:
            if entry.process.is_waiting():
                return entry
            self._end([entry])
        return None

    def _started(self, program: Program, running: Running) -> _Entry:
        process: ConfinedProcess | None = None
        try:
            ends = self._launcher.fork(self.bounds)
            process = ConfinedProcess(*ends, self._run_bytes, self.bounds.memory_bytes)
            with process.request(running):
                process.load(program)
        except BaseException:
            if process:
                process.close()
            with self._changed:
                self._starting -= 1
                self._changed.notify()
            raise
        entry = _Entry(program, process)
        with self._changed:
            self._starting -= 1
            self._busy.append(entry)
        return entry

    def _give_back(self, entry: _Entry) -> None:
        process = entry.process
        with self._changed:
            self._busy.remove(entry)
            if process.spoiled or process.seconds > self.bounds.seconds / 2:
                process.close()
            else:
                entry.idle_since = self._clock()
                self._idle.append(entry)
            self._changed.notify()

    def _end(self, entries: list[_Entry]) -> None:
        for entry in entries:
            self._idle.remove(entry)
            entry.process.close()


def _is_same(one: Program, other: Program) -> bool:
    return (one.job, one.sha256, one.schema.digest) == (other.job, other.sha256, other.schema.digest)
