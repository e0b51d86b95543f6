"""Backends as child processes that the first connection starts: socket activation."""

import asyncio
import socket
from collections.abc import Sequence

from flstore_core.errors import Unavailable
from flstore_core.ids import ShardId
from services.placement.runtime.base import BackendSpec, BackendState, Kind, Watcher
from services.placement.runtime.local.backend import LocalBackend
from services.placement.runtime.local.process import Program
from services.placement.timing import RealTime, Time

BACKLOG = 1024
"""Connections that the kernel holds while a backend starts."""


class LocalRuntime:
    """A `Runtime` over child processes.

    It owns one listening socket for each backend. While a backend is at zero the runtime watches its socket, and a
    waiting connection starts the process, which inherits the socket and accepts the connection. Until then, and while
    a killed process is being replaced, connections wait in the kernel. The children end when this process ends.
    """

    def __init__(self, watcher: Watcher, program: Program, time: Time | None = None) -> None:
        self._watcher = watcher
        self.program = program
        self._time = time or RealTime()
        self._backends: dict[ShardId, LocalBackend] = {}

    async def ensure(self, spec: BackendSpec) -> str:
        backend = self._backends.get(spec.id)
        if backend is not None and backend.spec != spec:
            await self.remove(spec.id)
            backend = None
        if backend is None:
            backend = LocalBackend(spec, _listen(spec.id), self.program, self._watcher, self._time)
            self._backends[spec.id] = backend
            backend.begin()
        return backend.state().url

    async def remove(self, backend: ShardId) -> None:
        if removed := self._backends.pop(backend, None):
            await removed.close()

    async def observe(self) -> Sequence[BackendState]:
        backends = sorted(self._backends.values(), key=lambda each: (each.spec.kind is Kind.PREDICTOR, each.spec.id))
        return [backend.state() for backend in backends]

    async def close(self) -> None:
        await asyncio.gather(*(self.remove(backend) for backend in list(self._backends)))


def _listen(backend: ShardId) -> socket.socket:
    try:
        listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(f"{backend}: cannot open a listening socket: {error.strerror}") from error
    listening.setblocking(False)
    return listening
