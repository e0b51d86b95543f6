"""Measures a workload hot, from zero and at an aggregator, and compares both answers.

The gateway computes each answer: to measure kept answers would be to measure nothing.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any

from flstore_core.client import Answer, FLStore
from flstore_core.errors import Unavailable
from loadgen.baselines.aggregator import Aggregator
from loadgen.demo.agreement import differences

_RUNS = 7
_LEAVING_S = 1.0
_ZERO_DEADLINE_S = 30.0


@dataclass(frozen=True)
class Question:
    """A workload and its parameters."""

    workload: str
    pattern: str
    params: Mapping[str, Any]


@dataclass(frozen=True)
class Hot:
    """A question answered by FLStore with everything in memory, and by the aggregator."""

    answer: Answer
    hot_ms: float
    """Median of several runs, as the caller waits for them."""
    aggregator_ms: float
    """Median of several runs."""
    differences: tuple[str, ...]


def ask_hot(client: FLStore, aggregator: Aggregator, job: str, question: Question) -> Hot:
    """Ask FLStore, then the aggregator, several times each, after a first time that is not measured.

    They are not asked in turn, because the aggregator's threads keep the cores busy after it has answered.
    """
    name, params = question.workload, question.params
    answer = client.run_anew(job, name, **params)
    ours = [_milliseconds(lambda: client.run_anew(job, name, **params)) for _ in range(_RUNS)]
    result = aggregator.run(name, params)
    theirs = [_milliseconds(lambda: aggregator.run(name, params)) for _ in range(_RUNS)]
    places = differences(
        answer.result.raw,
        result,
        lambda link: client.get_artifact(job, link),
        lambda link: aggregator.artifact(link["href"]),
    )
    return Hot(answer, median(ours), median(theirs), tuple(places))


def ask_from_zero(client: FLStore, job: str, question: Question, idle_s: float) -> float:
    """Wait until every shard is at zero, ask, and return the milliseconds until there is an answer.

    Args:
        idle_s: idle seconds after which a shard goes to zero.
    """
    wait_for_zero(client, idle_s)
    return _milliseconds(lambda: client.run_anew(job, question.workload, **question.params))


def wait_for_zero(client: FLStore, idle_s: float) -> None:
    """Return once no shard is awake; raise `Unavailable` if that takes too long.

    Shards are not polled before they should be gone, because a request at the moment a shard leaves starts it again.
    """
    end = time.monotonic() + idle_s + _ZERO_DEADLINE_S
    pause = idle_s + _LEAVING_S
    while awake := [row["shard"] for row in client.cache().raw["shards"] if row["state"] != "zero"]:
        if time.monotonic() > end:
            raise Unavailable(f"shards {', '.join(awake)} are still awake, though nobody asked them anything")
        time.sleep(pause)


def _milliseconds(call: Callable[[], object]) -> float:
    started = time.perf_counter()
    call()
    return 1e3 * (time.perf_counter() - started)
