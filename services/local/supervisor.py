"""Keeps child processes running until they are stopped or this process is gone.

Each child inherits two descriptors: its listening socket and one end of a socket pair, its lifeline.

    supervisor                                  child
    binds the child's address, starts it   →
                                                imports; connections wait in the socket's backlog
    knows that it is ready         a byte  ←    answers requests
                                                dies
    starts it again at the same address    →
    stops, or is killed       end of file  →    leaves

The supervisor keeps the listening socket open, so a child has its address before it runs and keeps it when it is
replaced. The lifeline ends even if the supervisor is killed, so no child outlives it.

Example: a child that dies three times before it is ready is started again after 0.1, 0.2 and 0.4 s. One that was ready
and then dies is started again after 0.1 s, however often that happens.
"""

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
"""Seconds between SIGTERM and SIGKILL."""


@dataclass(frozen=True)
class Part:
    """What a child is made of: a module to run, the socket that it listens on, and its environment."""

    name: str
    module: str
    listening: socket.socket
    env: Mapping[str, str]
    awaited: bool = True
    """Whether the system is only up once this part is ready. One that is not is started after the others."""


class Supervisor:
    """Runs parts as children, starts a child again when it dies, and leaves none behind.

    Args:
        log: takes what the children write to stdout and stderr; by default they write to this process's own.
        grace_s: seconds between SIGTERM and SIGKILL when the parts are stopped.
    """

    def __init__(self, parts: Sequence[Part], log: IO[bytes] | None = None, grace_s: float = GRACE_S) -> None:
        self._children = [_Child(part, log) for part in parts]
        self._grace_s = grace_s

    def start(self, within_s: float) -> None:
        """Start parts that are awaited at once, and the others once those are ready. Call `stop` even if this raises.

        Raises:
            Unavailable: if a part ends before it is ready, or is not ready within `within_s` seconds.
        """
        deadline = time.monotonic() + within_s
        awaited = [child for child in self._children if child.awaited]
        for child in awaited:
            child.begin()
        for child in awaited:
            child.wait_until_ready(deadline, within_s)
        for child in self._children:
            if not child.awaited:
                child.begin()

    def stop(self) -> None:
        """Ask all parts to leave, the last one first, and return when all are gone."""
        for child in reversed(self._children):
            child.ask_to_leave()
        deadline = time.monotonic() + self._grace_s
        for child in reversed(self._children):
            child.end(deadline)


class _Child:
    """One part, and the thread that runs its process again and again.

    `_settled` is set once the part's first process is ready or has ended; `_ready` says which of the two.

    `_lock` makes the check of `_stopping` and the start of a process one step. Without it, `ask_to_leave` could come in
    between, find no process to terminate, and one would be started after all.
    """

    def __init__(self, part: Part, log: IO[bytes] | None) -> None:
        self._part = part
        self.awaited = part.awaited
        self._log = log
        self._thread = threading.Thread(target=self._keep, name=part.name, daemon=True)
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._settled = threading.Event()
        self._ready = False
        self._stopping = threading.Event()

    def begin(self) -> None:
        self._thread.start()

    def wait_until_ready(self, deadline: float, within_s: float) -> None:
        if not self._settled.wait(max(0.0, deadline - time.monotonic())):
            raise Unavailable(f"{self._part.name} was not ready within {within_s:g} s; its log says why")
        if not self._ready:
            raise Unavailable(f"{self._part.name} ended before it was ready; its log says why")

    def ask_to_leave(self) -> None:
        with self._lock:
            self._stopping.set()
            if self._process is not None:
                self._process.terminate()

    def end(self, deadline: float) -> None:
        """Wait until the process is gone; kill it at `deadline`."""
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
            try:
                if self._run_once():
                    attempts.succeeded()  # it was ready: the pauses begin anew
            except OSError as error:  # the system has no room for a process now
                logger.warning("%s could not be started: %s", self._part.name, error)
                self._settled.set()
            attempts.failed()  # it has ended in any case; this sets the next pause

    def _run_once(self) -> bool:
        """Run the part's process until it ends, and return whether it was ready in between."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs, self._lock:
                if self._stopping.is_set():
                    return False
                process = self._process = self._spawn(theirs)
            ready = bool(ours.recv(1))  # a byte when the child is ready, end of file when it ends before
            self._ready |= ready
            if ready:
                self._settled.set()
            code = process.wait()
        if not self._stopping.is_set():
            logger.warning("%s ended with exit code %d", self._part.name, code)
        self._settled.set()  # also if it was never ready, so that `wait_until_ready` does not wait in vain
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
            start_new_session=True,  # so that a terminal's Ctrl-C reaches only the supervisor, which stops the parts
        )
