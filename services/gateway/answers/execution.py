"""A workload's answer: the result, where it was computed, and what that took."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from flstore_core.cost import RequestCost
from flstore_core.ids import JobId, ShardId
from flstore_core.patterns import Pattern
from flstore_core.shard.protocol import Work
from services.common import tracing

SHARDS, PREDICTORS, GATEWAY = "shards", "predictors", "gateway"
"""Where an answer is computed."""


@dataclass
class Stages:
    """Seconds by stage, in the order in which the stages ran."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time one stage, which is a span of the request's trace too."""
        started = self.clock()
        try:
            with tracing.span(f"stage {name}"):
                yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - started


@dataclass(frozen=True)
class Execution:
    """Where a workload ran and what it took."""

    backends: tuple[ShardId, ...] = ()
    """The shards or predictors that worked; none where the gateway answered alone."""
    slices: int = 0
    """How many partial answers were combined: one for each slice or window of a slice, or a predictor's one."""
    work: Work = field(default_factory=Work)
    seconds: Mapping[str, float] = field(default_factory=dict)
    """By stage."""
    pool: str = SHARDS
    """Whether the backends are `SHARDS` or `PREDICTORS`."""
    cached: bool = False
    """Whether a kept answer was given again."""
    cost: RequestCost | None = None

    @property
    def where(self) -> str:
        return self.pool if self.backends else GATEWAY

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "cached": self.cached,
            "shards": list(self.backends),
            "slices": self.slices,
            "hits": self.work.hits,
            "misses": self.work.misses,
            "bytes_touched": self.work.bytes_touched,
            "bytes_fetched": self.work.bytes_fetched,
            "shard_fetch_ms": _milliseconds(self.work.fetch_s),
            "shard_compute_ms": _milliseconds(self.work.compute_s),
            "stages_ms": {name: _milliseconds(seconds) for name, seconds in self.seconds.items()},
            "total_ms": _milliseconds(self.total_seconds),
            "cost": self.cost.to_json() if self.cost else {},
        }


@dataclass(frozen=True)
class Outcome:
    """A workload's answer."""

    job: JobId
    workload: str
    pattern: Pattern
    rounds: tuple[int, ...]
    result: Any
    """JSON values."""
    execution: Execution
    etag: str | None = None
    """The question's ETag; None if an open round was read, because the answer may then change."""

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "workload": self.workload,
            "pattern": self.pattern.value,
            "rounds": list(self.rounds),
            "result": self.result,
            "execution": self.execution.to_json(),
        }


def _milliseconds(seconds: float) -> float:
    return round(1e3 * seconds, 3)
