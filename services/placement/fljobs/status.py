"""Makes the status of an `FLJob` object, its conditions and figures, from facts. Nothing here does I/O."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.placement import Assignment
from flstore_core.records import Job
from flstore_core.units import format_size
from services.placement.fljobs.usage import Durable
from services.placement.fljobs.warmth import Hot
from services.placement.kube.notation import format_time
from services.placement.kube.resources import Json
from services.placement.runtime.base import BackendState, Phase

MESSAGE_CHARS = 2000
"""Longest message of a condition."""


@dataclass(frozen=True, slots=True)
class Condition:
    """One condition, without the times that the object adds."""

    kind: str
    true: bool
    reason: str
    """CamelCase, for machines."""
    message: str


@dataclass(frozen=True)
class Facts:
    """What is known of one job now. None stands for what is not known."""

    job: Job | None = None
    assignment: Assignment | None = None
    durable: Durable | None = None
    hot: Hot | None = None
    holders: Sequence[BackendState] = ()
    """The shards that hold the job."""


NOT_DEGRADED = Condition("Degraded", False, "AsExpected", "nothing is amiss")


def make_ready(placed: Condition) -> Condition:
    """Return the condition `Ready`, which follows from `Placed`."""
    if placed.true:
        return Condition("Ready", True, "Serving", "rounds can be put and workloads run")
    return Condition("Ready", False, placed.reason, placed.message)


def make_placed(assignment: Assignment) -> Condition:
    """Return the condition `Placed` of a job that has a place."""
    names = ", ".join(_holder_names(assignment))
    count = f"{assignment.slices} slice{'s' if assignment.slices > 1 else ''}"
    times = f", {assignment.replicas} times" if assignment.replicas > 1 else ""
    return Condition("Placed", True, "Placed", f"{count} on {names}{times}")


def make_degraded(holders: Sequence[BackendState], complaints: Sequence[tuple[str, str]]) -> Condition:
    """Return the condition `Degraded`: failing shards first, then `complaints`, which are (reason, message) pairs."""
    failing = [state for state in holders if state.phase is Phase.FAILED and state.trouble]
    all_complaints = [("ShardFailed", f"{state.id}: {state.trouble}") for state in failing] + list(complaints)
    if not all_complaints:
        return NOT_DEGRADED
    return Condition("Degraded", True, all_complaints[0][0], "; ".join(message for _, message in all_complaints))


def make_status(item: Mapping[str, Any], facts: Facts, conditions: Sequence[Condition], now: float) -> Json:
    """Return the whole status at `now`, in seconds since the epoch. What is not known keeps the value in `item`."""
    before = item.get("status") or {}
    generation = item["metadata"].get("generation", 1)
    return {
        **before,
        **_job_fields(facts.job),
        **_placement_fields(facts),
        **_durable_fields(facts.durable),
        **_hot_fields(facts.hot, before),
        "observedGeneration": generation,
        "conditions": [_condition_fields(condition, before, generation, now) for condition in conditions],
    }


def _holder_names(assignment: Assignment) -> list[str]:
    return sorted({shard for owners in assignment.owners for shard in owners})


def _job_fields(job: Job | None) -> Json:
    if job is None:
        return {}
    return {"job": job.id, "parameters": job.schema.parameters, "updateBytes": job.schema.nbytes}


def _placement_fields(facts: Facts) -> Json:
    if facts.assignment is None:
        return {"slices": 0, "replicas": 0, "shards": 0, "shardsAwake": 0, "shardNames": []}
    names = _holder_names(facts.assignment)
    return {
        "slices": facts.assignment.slices,
        "replicas": facts.assignment.replicas,
        "shards": len(names),
        "shardsAwake": sum(state.phase is Phase.AWAKE for state in facts.holders),
        "shardNames": names,
    }


def _durable_fields(durable: Durable | None) -> Json:
    if durable is None:
        return {}
    latest = {"latestRound": durable.latest} if durable.latest is not None else {}
    return {
        "rounds": durable.committed,
        "openRounds": durable.open,
        "bytesDurable": durable.nbytes,
        "durable": format_size(durable.nbytes),
        **latest,
    }


def _hot_fields(hot: Hot | None, before: Mapping[str, Any]) -> Json:
    if hot is None:
        return {}
    rate = before.get("hitRate") if hot.hit_rate is None else f"{hot.hit_rate:.1%}"
    return {"bytesHot": hot.nbytes, "hot": format_size(hot.nbytes), **({"hitRate": rate} if rate else {})}


def _condition_fields(condition: Condition, before: Mapping[str, Any], generation: int, now: float) -> Json:
    value = "True" if condition.true else "False"
    conditions = before.get("conditions", ())
    old: Mapping[str, Any] = next((each for each in conditions if each["type"] == condition.kind), {})
    # The time says since when the condition has its value, so it moves only when the value changes.
    since = old["lastTransitionTime"] if old.get("status") == value else format_time(now)
    return {
        "type": condition.kind,
        "status": value,
        "reason": condition.reason,
        "message": condition.message[:MESSAGE_CHARS],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
