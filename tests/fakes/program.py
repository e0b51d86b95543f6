"""Processes of backends that do what the test says, over the real sockets that a real process would inherit."""

import asyncio
import socket
from asyncio.subprocess import Process
from contextlib import suppress
from dataclasses import dataclass, field
from typing import cast

from services.placement.runtime.base import BackendSpec
from services.placement.runtime.local.process import Program


class FakeProcess:
    """A process that answers from `greet` on, and ends by `exit` or when it is told to."""

    def __init__(self, pid: int, listening: socket.socket, lifeline: socket.socket, stubborn: bool) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.awake = False
        self._listening = listening
        self._lifeline = lifeline.dup()
        self._stubborn = stubborn
        self._ended = asyncio.Event()

    def greet(self, port: int = 0) -> None:
        """Write the greeting, and accept the connections that wait."""
        self._lifeline.send(b"%d\n" % port)
        self.awake = True
        self.accept()

    def accept(self) -> None:
        """Take up every connection that waits, and hang up."""
        with suppress(BlockingIOError):
            while True:
                self._listening.accept()[0].close()

    def exit(self, code: int) -> None:
        self.returncode = code
        self._lifeline.close()
        self._ended.set()

    def terminate(self) -> None:
        if self.returncode is not None:
            raise ProcessLookupError
        if not self._stubborn:
            self.exit(0)

    def kill(self) -> None:
        self.exit(-9)

    async def wait(self) -> int:
        await self._ended.wait()
        assert self.returncode is not None
        return self.returncode


@dataclass(frozen=True)
class FakeProgram(Program):
    """Starts `FakeProcess`es and keeps them."""

    processes: list[FakeProcess] = field(default_factory=list)
    stubborn: bool = False
    """Whether processes ignore SIGTERM."""
    broken: list[OSError] = field(default_factory=list)
    """The next starts fail with these."""

    async def start(self, spec: BackendSpec, listening: socket.socket, lifeline: socket.socket) -> Process:
        if self.broken:
            raise self.broken.pop(0)
        self.processes.append(FakeProcess(1000 + len(self.processes), listening, lifeline, self.stubborn))
        return cast(Process, self.processes[-1])

    @property
    def running(self) -> list[FakeProcess]:
        return [process for process in self.processes if process.returncode is None]
