"""The contract of a runtime: shards that are reached under a fixed address, at zero or awake alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol

from flstore_core.ids import ShardId


class Phase(StrEnum):
    """What a shard is doing."""

    ZERO = "zero"
    """No process; the next connection starts one and waits for it."""

    STARTING = "starting"
    AWAKE = "awake"
    LEAVING = "leaving"
    """Told to end; what is under way is being finished."""

    FAILED = "failed"
    """Cannot serve until somebody helps; `trouble` says how."""


class Cause(StrEnum):
    """Why a shard was started."""

    REQUEST = "request"
    """Somebody connected while it was at zero."""

    REPLACEMENT = "replacement"
    """The process before was killed or crashed."""


class Kind(StrEnum):
    """Which of the two pools: both are started, reached and led alike."""

    SHARD = "shard"
    """Holds slices."""

    PREDICTOR = "predictor"
    """Holds whole models and runs them."""


@dataclass(frozen=True, slots=True)
class ShardSpec:
    """What a shard is to be."""

    id: ShardId
    cache_bytes: int
    policy: str
    idle_s: float
    """Seconds without a data request after which it goes to zero; 0 for never."""
    kind: Kind = Kind.SHARD


@dataclass(frozen=True, slots=True)
class ShardState:
    """What a shard is at this moment."""

    shard: ShardId
    phase: Phase
    url: str
    pid: int | None = None
    """Of its process, where it runs on this machine."""
    starts: int = 0
    """How often it was started since this runtime began."""
    last_start_s: float | None = None
    """Seconds from spawn to ready, the last time."""
    failures: int = 0
    """Crashes in a row."""
    awake_s: float = 0.0
    """Seconds for which a process existed, in all."""
    kind: Kind = Kind.SHARD
    direct_url: str | None = None
    """Where its process is reached past what counts requests and would keep it awake; None where `url` is that."""
    trouble: str | None = None
    """Why it cannot serve, and what would help."""

    def to_json(self) -> dict[str, Any]:
        return {
            "shard": self.shard,
            "state": self.phase.value,
            "url": self.url,
            "pid": self.pid,
            "starts": self.starts,
            "last_start_s": self.last_start_s,
            "failures": self.failures,
            "awake_s": round(self.awake_s, 3),
            "direct_url": self.direct_url,
            "trouble": self.trouble,
        }


class Watcher(Protocol):
    """Is told what happens to shards, as it happens. Its methods return at once and raise nothing."""

    def changed(self, state: ShardState) -> None:
        """A shard has entered another phase."""
        ...

    def started(self, shard: ShardId, cause: Cause, seconds: float) -> None:
        """A shard has become ready, `seconds` after it was started."""
        ...


class Runtime(Protocol):
    """Keeps shards reachable and lets them scale to zero. Used from one event loop."""

    async def ensure(self, spec: ShardSpec) -> str:
        """Make the shard exist as `spec` says, without waking it, and return its URL. Doing it again changes nothing.

        Raises `Unavailable` when it cannot be made now.
        """
        ...

    async def remove(self, shard: ShardId) -> None:
        """End the shard and forget its address; do nothing when it does not exist."""
        ...

    async def states(self) -> Sequence[ShardState]:
        """Return every shard there is, by name."""
        ...

    async def close(self) -> None:
        """End what would not outlive this runtime."""
        ...
