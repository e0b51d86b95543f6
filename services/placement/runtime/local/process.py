"""The child process of a backend: its command, environment and sockets, its greeting and its end."""

import asyncio
import signal
import socket
import sys
from asyncio.subprocess import DEVNULL, Process
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from services.placement.runtime.base import BackendSpec, Kind
from services.placement.timing import Time, run_within

ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""NumPy works on one core in each request, so that concurrent requests do not fight for cores. The environment may set
other numbers."""


@dataclass(frozen=True)
class Program:
    """What the processes of backends run."""

    env: Mapping[str, str]
    """Environment of every process; the backend's own variables are added to it."""
    shard: str = "services.shard"
    """Python module that a shard runs."""
    predictor: str = "services.predictor"
    """Python module that a predictor runs."""
    grace_s: float = 5.0
    """Seconds between SIGTERM and SIGKILL."""

    async def start(self, spec: BackendSpec, listening: socket.socket, lifeline: socket.socket) -> Process:
        """Start a process that inherits both sockets.

        It accepts connections from `listening`. Once it answers, it writes its greeting, one line, to `lifeline`. It
        ends when the other end of `lifeline` is closed, which happens however this process ends.
        """
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", self.predictor if spec.kind is Kind.PREDICTOR else self.shard),
            stdin=DEVNULL,
            env=self._environment(spec, listening, lifeline),
            pass_fds=(listening.fileno(), lifeline.fileno()),
        )

    async def end(self, process: Process, time: Time) -> None:
        """Send SIGTERM, and SIGKILL after the grace period by `time`; return once the process has ended."""
        with suppress(ProcessLookupError):
            process.terminate()
            if await run_within(time, self.grace_s, process.wait()) is None:
                process.kill()
        await process.wait()

    def _environment(self, spec: BackendSpec, listening: socket.socket, lifeline: socket.socket) -> dict[str, str]:
        return {
            **ONE_CORE,
            **self.env,
            "FLSTORE_SHARD_ID": spec.id,
            "FLSTORE_CACHE_BYTES": str(spec.cache_bytes),
            "FLSTORE_POLICY": spec.policy,
            "FLSTORE_IDLE_SECONDS": str(spec.idle_s),
            "FLSTORE_LISTEN_FD": str(listening.fileno()),
            "FLSTORE_LIFELINE_FD": str(lifeline.fileno()),
        }


async def read_greeting(lifeline: socket.socket) -> int | None:
    """Wait for the greeting of a process and return the port in it; return None if the process ends before.

    At that port the process answers without counting requests; 0 means that it has no such port.
    """
    line = b""
    while not line.endswith(b"\n"):
        if not (byte := await asyncio.get_running_loop().sock_recv(lifeline, 1)):
            return None
        line += byte
    return int(line)


def describe_exit(code: int) -> str:
    """Return how a process ended: `SIGKILL` for -9, `exit code 3` for 3."""
    if code >= 0:
        return f"exit code {code}"
    try:
        return signal.Signals(-code).name
    except ValueError:
        return f"signal {-code}"
