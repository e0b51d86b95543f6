"""One shard of the local runtime: at zero, starting, awake, leaving, and round again."""

import asyncio
import logging
import socket
import sys
import time
from asyncio.subprocess import DEVNULL, Process
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

from flstore_core.retry import Retry
from services.common import tasks
from services.placement.runtime.base import Cause, Kind, Phase, ShardSpec, ShardState, Watcher

logger = logging.getLogger(__name__)

START_LIMIT_S = 60.0
"""A process that is not ready by then is ended and started anew."""

STABLE_AFTER_S = 10.0
"""A process that lived this long is no part of a crash loop: pauses begin anew from the shortest."""

ONE_CORE = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
"""A shard computes its requests side by side, each on one core, unless the environment says otherwise."""


@dataclass(frozen=True)
class Program:
    """What a shard's process runs."""

    module: str
    env: Mapping[str, str]
    grace_s: float

    predictor: str = "services.predictor"
    """The module of a predictor, in place of `module`."""

    def environment(self, spec: ShardSpec, listening: socket.socket, lifeline: socket.socket) -> dict[str, str]:
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

    async def start(self, spec: ShardSpec, listening: socket.socket, lifeline: socket.socket) -> Process:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", self.predictor if spec.kind is Kind.PREDICTOR else self.module),
            stdin=DEVNULL,
            env=self.environment(spec, listening, lifeline),
            pass_fds=(listening.fileno(), lifeline.fileno()),
        )

    async def end(self, process: Process) -> None:
        """Ask the process to leave, and make it after the grace."""
        with suppress(ProcessLookupError):
            process.terminate()
            try:
                await asyncio.wait_for(process.wait(), self.grace_s)
            except TimeoutError:
                process.kill()
        await process.wait()


class LocalShard:
    """Owns a listening socket and, now and then, the process that accepts from it."""

    def __init__(self, spec: ShardSpec, listening: socket.socket, program: Program, watcher: Watcher) -> None:
        self.spec = spec
        self._listening = listening
        self._program = program
        self._watcher = watcher
        self._attempts = Retry().begin()
        self._phase = Phase.ZERO
        self._process: Process | None = None
        self._begun_at = 0.0
        self._awake_s = 0.0
        self._starts = 0
        self._last_start_s: float | None = None
        self._direct_url: str | None = None
        self._task: asyncio.Task[None] | None = None

    def begin(self) -> None:
        """Start the one task that leads this shard through its lives."""
        self._task = tasks.begin(self._live(), f"shard {self.spec.id}")

    async def close(self) -> None:
        """End the process, if there is one, and let go of the address."""
        if self._task is not None:
            await tasks.end(self._task)
        self._listening.close()

    def state(self) -> ShardState:
        port = self._listening.getsockname()[1]
        return ShardState(
            shard=self.spec.id,
            phase=self._phase,
            url=f"http://127.0.0.1:{port}",
            pid=self._process.pid if self._process else None,
            starts=self._starts,
            last_start_s=self._last_start_s,
            failures=self._attempts.failures,
            awake_s=self._awake_s + (time.monotonic() - self._begun_at if self._phase is not Phase.ZERO else 0.0),
            kind=self.spec.kind,
            direct_url=self._direct_url,
        )

    async def _live(self) -> None:
        while True:
            await self._connection_waits()
            await asyncio.sleep(self._attempts.pause_s)
            ready, code = False, None
            try:
                async with self._alive() as (process, lifeline):
                    if ready := await self._greet(lifeline):
                        await process.wait()
                code = process.returncode
            except OSError as error:
                logger.error("shard %s cannot be started: %s", self.spec.id, error)
            self._judge(ready, code)

    async def _connection_waits(self) -> None:
        loop, waits = asyncio.get_running_loop(), asyncio.Event()
        loop.add_reader(self._listening.fileno(), waits.set)
        try:
            await waits.wait()
        finally:
            loop.remove_reader(self._listening.fileno())

    @asynccontextmanager
    async def _alive(self) -> AsyncIterator[tuple[Process, socket.socket]]:
        """Run a process; however the block is left, none is left behind."""
        self._begun_at = time.monotonic()
        self._starts += 1
        self._enter(Phase.STARTING)
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        try:
            with theirs:
                self._process = await self._program.start(self.spec, self._listening, theirs)
            yield self._process, ours
        finally:
            if self._process is not None and self._process.returncode is None:
                self._enter(Phase.LEAVING)
                await self._program.end(self._process)
            ours.close()
            self._process = self._direct_url = None
            self._awake_s += time.monotonic() - self._begun_at
            self._enter(Phase.ZERO)

    async def _greet(self, lifeline: socket.socket) -> bool:
        """Wait until the process says that it answers; return False when it ends, or takes too long, before that."""
        try:
            said = await asyncio.wait_for(_line(lifeline), START_LIMIT_S)
        except TimeoutError:
            logger.error("shard %s was not ready within %.0f s", self.spec.id, START_LIMIT_S)
            return False
        if not said.endswith(b"\n"):
            return False
        self._direct_url = f"http://127.0.0.1:{int(said)}" if int(said) else None
        self._last_start_s = time.monotonic() - self._begun_at
        self._watcher.started(self.spec.id, self._cause(), self._last_start_s)
        self._enter(Phase.AWAKE)
        return True

    def _judge(self, ready: bool, code: int | None) -> None:
        if ready and code == 0:
            self._attempts.succeeded()
            return
        if ready and time.monotonic() - self._begun_at >= STABLE_AFTER_S:
            self._attempts.succeeded()
        self._attempts.failed()
        logger.warning(
            "shard %s ended unasked", self.spec.id, extra={"exit_code": code, "pause_s": self._attempts.pause_s}
        )

    def _cause(self) -> Cause:
        return Cause.REPLACEMENT if self._attempts.failures else Cause.REQUEST

    def _enter(self, phase: Phase) -> None:
        self._phase = phase
        self._watcher.changed(self.state())


async def _line(lifeline: socket.socket) -> bytes:
    """Return what a process says up to the end of a line, or up to its own end."""
    said = b""
    while not said.endswith(b"\n"):
        if not (more := await asyncio.get_running_loop().sock_recv(lifeline, 1)):
            break
        said += more
    return said
