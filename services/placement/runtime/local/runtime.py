"""Shards as processes of this machine, started by the first connection: socket activation."""

import asyncio
import socket
from collections.abc import Mapping, Sequence

from flstore_core.errors import Unavailable
from flstore_core.ids import ShardId
from services.placement.runtime.base import Kind, ShardSpec, ShardState, Watcher
from services.placement.runtime.local.process import LocalShard, Program

BACKLOG = 1024
"""Connections that wait in the kernel while a shard starts."""


class LocalRuntime:
    """A `Runtime` over child processes.

    It owns one listening socket a shard for as long as it lives. While the shard is at zero it watches that socket,
    and a connection waiting there starts the process, which inherits the socket and accepts it. Until then, and while
    a killed process is being replaced, requests wait in the kernel's backlog. Children end when this process does,
    however it ends.
    """

    def __init__(
        self, watcher: Watcher, env: Mapping[str, str], *, module: str = "services.shard", grace_s: float = 5.0
    ) -> None:
        """`env` is the environment of every shard beside its own variables; `grace_s` lies between TERM and KILL."""
        self._watcher = watcher
        self._program = Program(module, env, grace_s)
        self._shards: dict[ShardId, LocalShard] = {}

    async def ensure(self, spec: ShardSpec) -> str:
        shard = self._shards.get(spec.id)
        if shard is not None and shard.spec != spec:
            await self.remove(spec.id)
            shard = None
        if shard is None:
            shard = self._shards[spec.id] = LocalShard(spec, _listening(spec.id), self._program, self._watcher)
            shard.begin()
        return shard.state().url

    async def remove(self, shard: ShardId) -> None:
        if known := self._shards.pop(shard, None):
            await known.close()

    async def states(self) -> Sequence[ShardState]:
        shards = sorted(self._shards.values(), key=lambda shard: (shard.spec.kind is Kind.PREDICTOR, shard.spec.id))
        return [shard.state() for shard in shards]

    async def close(self) -> None:
        await asyncio.gather(*(self.remove(shard) for shard in list(self._shards)))


def _listening(shard: ShardId) -> socket.socket:
    try:
        listening = socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)
    except OSError as error:
        raise Unavailable(f"shard {shard!r}: no listening socket to be had: {error.strerror}") from error
    listening.setblocking(False)
    return listening
