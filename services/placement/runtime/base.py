"""The contract of a runtime: backends with a fixed address, the same at zero and awake."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from flstore_core.ids import ShardId


class Kind(StrEnum):
    """The two kinds of backend. To a runtime they differ only in the program that they run."""

    SHARD = "shard"
    """Holds slices of updates."""

    PREDICTOR = "predictor"
    """Holds whole models and runs them."""


class Phase(StrEnum):
    """What a backend is doing."""

    ZERO = "zero"
    """It has no process; the next connection starts one and waits for it."""

    STARTING = "starting"
    AWAKE = "awake"
    LEAVING = "leaving"
    """Its process was told to end and is finishing its requests."""

    FAILED = "failed"
    """It cannot serve until a person helps; `trouble` says how."""


class Cause(StrEnum):
    """Why a backend was started."""

    REQUEST = "request"
    """Somebody connected while it was at zero."""

    RESTART = "restart"
    """Its container ended and was started again in the same pod."""

    ROLLOUT = "rollout"
    """Its Knative service was changed, and a pod of the new revision takes over."""

    EVICTION = "eviction"
    """The cluster took its pod away: the node ran out of memory, was drained, or was lost."""

    REPLACEMENT = "replacement"
    """The process or pod before was killed or crashed."""


@dataclass(frozen=True, slots=True)
class Start:
    """One start of a backend: the answer to "why was it replaced?"."""

    cause: Cause
    reason: str
    """How the process before ended, such as `OOMKilled`, `Evicted`, `SIGKILL`, `exit code 3` or `idle`; "" if this
    controller has seen none before."""
    seconds: float
    """From spawn to ready."""
    at: float | None = field(default=None, compare=False)
    """When it was ready, in seconds since the epoch; None if nobody knows."""

    def __str__(self) -> str:
        return f"{self.cause.value} ({self.reason})" if self.reason else self.cause.value

    def to_json(self) -> dict[str, Any]:
        at = None if self.at is None else round(self.at, 3)
        return {"cause": self.cause.value, "reason": self.reason, "seconds": round(self.seconds, 3), "at": at}


@dataclass(frozen=True, slots=True)
class End:
    """How the newest process of a backend that is at zero ended."""

    reason: str
    """As the next start's will be, such as `idle` or `SIGKILL`."""
    expected: bool
    """Whether it left of its own accord, or was told to."""

    def to_json(self) -> dict[str, Any]:
        return {"reason": self.reason, "expected": self.expected}


RECENT_STARTS = 10
"""Starts that are kept of each backend."""


@dataclass(frozen=True, slots=True)
class BackendSpec:
    """What a backend has to be."""

    id: ShardId
    cache_bytes: int
    policy: str
    idle_s: float
    """Seconds without a data request after which it goes to zero; 0 for never."""
    kind: Kind = Kind.SHARD


@dataclass(frozen=True, slots=True)
class BackendState:
    """What a backend is at this moment."""

    id: ShardId
    phase: Phase
    url: str
    pid: int | None = None
    """Id of its process, if that runs on this machine."""
    starts: int = 0
    """Number of starts since this runtime began."""
    recent_starts: tuple[Start, ...] = ()
    """The newest `RECENT_STARTS` starts that made it ready, the newest last, since this runtime began."""
    last_end: End | None = None
    """Where it is at zero and was not before: how it came to be there."""
    failures: int = 0
    """Crashes in a row."""
    awake_s: float = 0.0
    """Total seconds for which a process existed."""
    kind: Kind = Kind.SHARD
    direct_url: str | None = None
    """Address past the counter of requests: a call to it does not keep the backend awake. None if there is none now."""
    trouble: str | None = None
    """Why it cannot serve, and what would help; None if it can."""

    @property
    def last_start(self) -> Start | None:
        """The newest start that made it ready."""
        return self.recent_starts[-1] if self.recent_starts else None

    def to_json(self) -> dict[str, Any]:
        start = self.last_start
        return {
            "shard": self.id,
            "state": self.phase.value,
            "url": self.url,
            "pid": self.pid,
            "starts": self.starts,
            "last_start": start.to_json() if start else None,
            "last_start_s": start.seconds if start else None,
            "recent_starts": [each.to_json() for each in self.recent_starts],
            "last_end": self.last_end.to_json() if self.last_end else None,
            "failures": self.failures,
            "awake_s": round(self.awake_s, 3),
            "direct_url": self.direct_url,
            "trouble": self.trouble,
        }


class Watcher(Protocol):
    """Is called when something happens to a backend. Its methods return at once and raise nothing."""

    def changed(self, state: BackendState) -> None:
        """A backend has entered another phase."""
        ...

    def started(self, backend: ShardId, start: Start) -> None:
        """A backend has become ready."""
        ...


class Runtime(Protocol):
    """Keeps backends reachable and lets them scale to zero. Used from one event loop."""

    async def ensure(self, spec: BackendSpec) -> str:
        """Make the backend exist as `spec` says, without waking it, and return its URL. Idempotent.

        Raises:
            Unavailable: if it cannot be created now.
        """
        ...

    async def remove(self, backend: ShardId) -> None:
        """End the backend and forget its address; do nothing if it does not exist."""
        ...

    async def observe(self) -> Sequence[BackendState]:
        """Return the state of every backend, shards before predictors, in order of their ids."""
        ...

    async def close(self) -> None:
        """End whatever cannot outlive this runtime."""
        ...
