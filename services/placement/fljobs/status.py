"""What an `FLJob` object shows. Pure: facts in, status out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from flstore_core.placement import Assignment
from flstore_core.records import Job
from flstore_core.units import format_size
from services.placement.fljobs.usage import Durable
from services.placement.fljobs.warmth import Hot
from services.placement.kube.resources import Json
from services.placement.kube.timing import stamp
from services.placement.runtime.base import Phase, ShardState


@dataclass(frozen=True, slots=True)
class Verdict:
    """One condition."""

    kind: str
    true: bool
    reason: str
    """CamelCase, for machines."""
    message: str


@dataclass(frozen=True)
class Facts:
    """What there is to show of one job."""

    job: Job | None = None
    assignment: Assignment | None = None
    durable: Durable | None = None
    hot: Hot | None = None
    shards: Sequence[ShardState] = ()
    """Those that hold the job."""


def ready(placed: Verdict) -> Verdict:
    if placed.true:
        return Verdict("Ready", True, "Serving", "rounds can be put and workloads run")
    return Verdict("Ready", False, placed.reason, placed.message)


def placed(assignment: Assignment) -> Verdict:
    holders = sorted({shard for owners in assignment.owners for shard in owners})
    count = f"{assignment.slices} slice{'s' if assignment.slices > 1 else ''}"
    times = f", {assignment.replicas} times" if assignment.replicas > 1 else ""
    return Verdict("Placed", True, "Placed", f"{count} on {', '.join(holders)}{times}")


def degraded(shards: Sequence[ShardState], complaints: Sequence[tuple[str, str]]) -> Verdict:
    """Return whether anything keeps the job from running as it should: failing shards first, then `complaints`."""
    failing = [state for state in shards if state.phase is Phase.FAILED and state.trouble]
    told = [("ShardFailed", f"{state.shard}: {state.trouble}") for state in failing] + list(complaints)
    if not told:
        return Verdict("Degraded", False, "AsExpected", "nothing is amiss")
    return Verdict("Degraded", True, told[0][0], "; ".join(message for _, message in told))


def status(item: Mapping[str, Any], facts: Facts, verdicts: Sequence[Verdict], now: float) -> Json:
    """Return the whole status; what is not known now stays as it was shown last."""
    before = item.get("status") or {}
    known = {**_job(facts.job), **_placement(facts), **_durable(facts.durable), **_hot(facts.hot, before)}
    generation = item["metadata"].get("generation", 1)
    conditions = [_condition(verdict, before, generation, now) for verdict in verdicts]
    return {**before, **known, "observedGeneration": generation, "conditions": conditions}


def _job(job: Job | None) -> Json:
    if job is None:
        return {}
    return {"job": job.id, "parameters": job.schema.parameters, "updateBytes": job.schema.nbytes}


def _placement(facts: Facts) -> Json:
    if facts.assignment is None:
        return {"slices": 0, "replicas": 0, "shards": 0, "shardsAwake": 0, "shardNames": []}
    names = sorted({shard for owners in facts.assignment.owners for shard in owners})
    awake = sum(state.phase is Phase.AWAKE for state in facts.shards)
    return {
        "slices": facts.assignment.slices,
        "replicas": facts.assignment.replicas,
        "shards": len(names),
        "shardsAwake": awake,
        "shardNames": names,
    }


def _durable(durable: Durable | None) -> Json:
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


def _hot(hot: Hot | None, before: Mapping[str, Any]) -> Json:
    if hot is None:
        return {}
    rate = before.get("hitRate") if hot.hit_rate is None else f"{hot.hit_rate:.1%}"
    return {"bytesHot": hot.nbytes, "hot": format_size(hot.nbytes), **({"hitRate": rate} if rate else {})}


def _condition(verdict: Verdict, before: Mapping[str, Any], generation: int, now: float) -> Json:
    value = "True" if verdict.true else "False"
    old: Mapping[str, Any] = next(
        (known for known in before.get("conditions", ()) if known["type"] == verdict.kind), {}
    )
    since = old["lastTransitionTime"] if old.get("status") == value else stamp(now)
    return {
        "type": verdict.kind,
        "status": value,
        "reason": verdict.reason,
        "message": verdict.message[:2000],
        "lastTransitionTime": since,
        "observedGeneration": generation,
    }
