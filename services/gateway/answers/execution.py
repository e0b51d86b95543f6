"""A workload's answer: what came out, where it ran, what it took; and the answers worth keeping."""

import json
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from flstore_core.cost import RequestCost
from flstore_core.ids import JobId, ShardId
from flstore_core.patterns import Pattern
from flstore_core.shard.protocol import Work
from flstore_core.workloads import Progress, no_progress

RESULTS_BYTES = 64 * 2**20
"""JSON of kept answers, in bytes."""

WORTH_KEEPING_S = 0.02
"""Answers that took less are worked out again: that costs hardly more than looking them up."""


class NotModified(Exception):
    """The caller has the answer already."""

    def __init__(self, etag: str) -> None:
        super().__init__(etag)
        self.etag = etag


@dataclass(frozen=True, slots=True)
class Asked:
    """How a question is asked."""

    known: str = ""
    """An ETag for which the caller has the answer."""
    anew: bool = False
    """Work the answer out even if it was kept."""
    progress: Progress = no_progress


@dataclass
class Stages:
    """Seconds by stage, in the order in which they were run."""

    clock: Callable[[], float]
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        """Time one stage."""
        started = self.clock()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + self.clock() - started


@dataclass(frozen=True)
class Execution:
    """Where a workload ran and what it took."""

    shards: tuple[ShardId, ...] = ()
    """The shards that mapped; empty where the gateway answered by itself."""
    slices: int = 0
    work: Work = field(default_factory=Work)
    seconds: Mapping[str, float] = field(default_factory=dict)
    pool: str = "shards"
    """What ran them: `shards` or `predictors`."""
    cached: bool = False
    """The same question on the same rounds had been answered before."""
    cost: RequestCost | None = None

    @property
    def where(self) -> str:
        return self.pool if self.shards else "gateway"

    @property
    def total_seconds(self) -> float:
        return sum(self.seconds.values())

    def to_json(self) -> dict[str, Any]:
        return {
            "where": self.where,
            "cached": self.cached,
            "shards": list(self.shards),
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
    """Of inputs and parameters; None where an open round was among the inputs, whose answer may change."""

    def to_json(self) -> dict[str, Any]:
        return {
            "job": self.job,
            "workload": self.workload,
            "pattern": self.pattern.value,
            "rounds": list(self.rounds),
            "result": self.result,
            "execution": self.execution.to_json(),
        }


class Results:
    """The most recently used of the answers that took long, by ETag. Thread-safe."""

    def __init__(self, budget: int = RESULTS_BYTES) -> None:
        self._budget = budget
        self._used = 0
        self._found: OrderedDict[str, tuple[Outcome, int]] = OrderedDict()
        self._lock = Lock()

    def get(self, etag: str) -> Outcome | None:
        """Return an answer, if it was kept."""
        with self._lock:
            if etag not in self._found:
                return None
            self._found.move_to_end(etag)
            return self._found[etag][0]

    def offer(self, outcome: Outcome) -> None:
        """Keep an answer that has an ETag and took long, and let go of others for it."""
        if outcome.etag is None or outcome.execution.total_seconds < WORTH_KEEPING_S:
            return
        nbytes = len(json.dumps(outcome.result))
        if nbytes > self._budget:
            return
        with self._lock:
            self._used += nbytes - self._found.pop(outcome.etag, (None, 0))[1]
            self._found[outcome.etag] = outcome, nbytes
            while self._used > self._budget:
                self._used -= self._found.popitem(last=False)[1][1]


def _milliseconds(seconds: float) -> float:
    return round(1e3 * seconds, 3)
