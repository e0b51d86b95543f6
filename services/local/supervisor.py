"""Child processes kept running from the outside, until they are stopped or this process is gone."""

import logging
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import IO

from flstore_core.errors import Unavailable
from flstore_core.retry import Retry

logger = logging.getLogger(__name__)

GRACE_S = 10.0
"""Between asking a child to leave and making it."""


@dataclass(frozen=True)
class Part:
    """One child: a module to run, the socket it listens on, its environment."""

    name: str
    module: str
    listening: socket.socket
    env: Mapping[str, str]


class Supervisor:
    """Runs parts as children, starts again what dies, and leaves none behind.

    A child inherits its listening socket, so it has its address before it runs and keeps it when it is replaced, and
    one end of a socket pair, its lifeline: it writes a byte there once it answers, and leaves when it reads the end,
    which comes even when this process is killed.
    """

    def __init__(self, parts: Sequence[Part], log: IO[bytes] | None = None) -> None:
        """`log` takes what the children write to stdout and stderr; None lets them write to this process's own."""
        self._children = [_Child(part, log) for part in parts]

    def start(self, deadline_s: float) -> None:
        """Start all parts at once and return when each has said that it answers; raise `Unavailable` if one does not.

        After an error `stop` is still to be called.
        """
        for child in self._children:
            child.begin()
        for child in self._children:
            child.wait_until_ready(deadline_s)

    def stop(self) -> None:
        """Ask all parts to leave, the last one first, and return when they are gone."""
        for child in reversed(self._children):
            child.ask_to_leave()
        deadline = time.monotonic() + GRACE_S
        for child in reversed(self._children):
            child.end(deadline)


class _Child:
    def __init__(self, part: Part, log: IO[bytes] | None) -> None:
        self._part = part
        self._log = log
        self._thread = threading.Thread(target=self._keep, name=part.name, daemon=True)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._settled = threading.Event()
        self._ready = False
        self._stopping = threading.Event()

    def begin(self) -> None:
        self._thread.start()

    def wait_until_ready(self, deadline_s: float) -> None:
        if not self._settled.wait(deadline_s):
            raise Unavailable(f"{self._part.name} was not ready within {deadline_s:g} s; its log says why")
        if not self._ready:
            raise Unavailable(f"{self._part.name} ended before it was ready; its log says why")

    def ask_to_leave(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until the process is gone, and from `deadline` on make it."""
        if self._process is not None:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(max(0.0, deadline - time.monotonic()))
            self._process.kill()
        if self._thread.ident is not None:
            self._thread.join()

    def _keep(self) -> None:
        """Run the part again and again; pauses grow while it dies before it is ready."""
        attempts = Retry().begin()
        while not self._stopping.wait(attempts.pause_s):
            if self._run_once():
                attempts.succeeded()
            attempts.failed()

    def _run_once(self) -> bool:
        """Start the part and return when it has ended: whether it was ready in between."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._lock:
                if self._stopping.is_set():
                    return False
                process = self._process = self._spawn(theirs)
            ready = bool(ours.recv(1))
            self._ready |= ready
            if ready:
                self._settled.set()
            code = process.wait()
        if not self._stopping.is_set():
            logger.warning("%s ended with exit code %d", self._part.name, code)
        self._settled.set()
        return ready

    def _spawn(self, lifeline: socket.socket) -> subprocess.Popen[bytes]:
        listening = self._part.listening
        descriptors = {"FLSTORE_LISTEN_FD": str(listening.fileno()), "FLSTORE_LIFELINE_FD": str(lifeline.fileno())}
        return subprocess.Popen(  # noqa: S603 - the modules are named in this package
            [sys.executable, "-P", "-m", self._part.module],
            env={**self._part.env, **descriptors},
            stdin=subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            pass_fds=(listening.fileno(), lifeline.fileno()),
            start_new_session=True,  # a terminal's Ctrl-C is for the supervisor, which ends the rest in order
        )
