"""Starts FLStore or a baseline as processes of this machine, each over its own part of one object store."""

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from flstore_core.units import parse_size
from services.local.running import READY_WITHIN_S, running
from services.local.supervisor import Part, Supervisor

HOST = "127.0.0.1"


class System(StrEnum):
    """The systems that are compared."""

    FLSTORE = "flstore"
    OBJSTORE = "objstore"
    CACHE = "cache"


TITLES: Mapping[System, str] = {
    System.FLSTORE: "FLStore",
    System.OBJSTORE: "ObjStore-Agg",
    System.CACHE: "Cache-Agg",
}


@dataclass(frozen=True)
class Deployment:
    """Settings of the systems; all get the same memory and the same network links."""

    store: str
    """URL or directory of the object store, of which each system gets a part."""
    env: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    """Environment with the store's credentials."""
    shards: int = 2
    cache_size: str = "512MiB"
    """Of each shard; the cache baseline gets as much as all shards together."""
    idle_seconds: float = 60.0
    store_network: str = "loopback"
    cache_network: str = "loopback"
    policy: str = "tailored"
    log: Path | None = None

    def part(self, system: System) -> str:
        """Return the URL or directory of the objects of `system`."""
        return f"{self.store.rstrip('/')}/{system}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "FLSTORE_LOG_LEVEL": "WARNING",
            **self.env,
            "FLSTORE_NETWORK_PROFILE": self.store_network,
            "FLSTORE_CACHE_NETWORK_PROFILE": self.cache_network,
        }


@contextmanager
def started(system: System, deployment: Deployment) -> Iterator[str]:
    """Run one of the systems for a block, and yield its URL once it answers."""
    if system is System.FLSTORE:
        with running(
            deployment.part(system),
            shards=deployment.shards,
            cache_size=deployment.cache_size,
            policy=deployment.policy,
            idle_seconds=deployment.idle_seconds,
            env=deployment.environment,
            log=deployment.log,
        ) as addresses:
            yield addresses.gateway
    else:
        with _baseline(system, deployment) as url:
            yield url


@contextmanager
def _baseline(system: System, deployment: Deployment) -> Iterator[str]:
    memory = deployment.shards * parse_size(deployment.cache_size)
    settings = {"FLSTORE_STORE": deployment.part(system), "FLSTORE_CACHE_BYTES": str(memory)}
    with ExitStack() as stack:
        listening = stack.enter_context(closing(socket.create_server((HOST, 0), backlog=1024)))
        part = Part(system, f"loadgen.baselines.{system}", listening, deployment.environment | settings)
        supervisor = Supervisor([part], stack.enter_context(deployment.log.open("ab")) if deployment.log else None)
        stack.callback(supervisor.stop)
        supervisor.start(READY_WITHIN_S)
        yield f"http://{HOST}:{listening.getsockname()[1]}"


def store_folder(folder: str) -> Path:
    """Return the folder of the objects of an FLStore that `flstore_in` runs."""
    return Path(folder) / "store" / System.FLSTORE


def flstore_in(folder: str, shards: int, cache_size: str, idle_seconds: float = 0.0) -> AbstractContextManager[str]:
    """Run an FLStore for a block, with its objects and logs in `folder`, and yield its URL."""
    deployment = Deployment(
        f"{folder}/store", shards=shards, cache_size=cache_size, idle_seconds=idle_seconds, log=Path(folder) / "log"
    )
    return started(System.FLSTORE, deployment)
