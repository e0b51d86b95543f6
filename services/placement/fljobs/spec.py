"""What an `FLJob` object asks for. Pure: the object in, a job's record out."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId, job_id
from flstore_core.placement.planner import working_set_bytes
from flstore_core.records import Job, StatisticsMode
from flstore_core.schema import Schema
from flstore_core.units import format_size
from services.placement.kube import quantities
from services.placement.kube.resources import ORIGIN

SLACK = 1.25
"""A round may come this much later than its interval says and still find the shards awake."""

SETTINGS = {
    "statistics": "statistics",
    "clientsPerRound": "clients_per_round",
    "hotRounds": "hot_rounds",
    "replicas": "replicas",
    "slices": "slices",
}
"""Field of the object → field of the job's record."""


@dataclass(frozen=True)
class Declared:
    """An object's specification, understood."""

    job: JobId
    settings: Mapping[str, Any] = field(default_factory=dict)
    """The fields of the record that the object gives; what it leaves out may be anything."""
    schema: Schema | None = None
    schema_from: JobId | None = None
    """Another job that has the schema."""
    budget: int | None = None
    """Bytes of shards' memory that the job's hot rounds may take."""
    interval_s: int | None = None
    """Seconds from one round to the next."""
    retention_s: int | None = None
    """Seconds for which shards stay awake after the last request."""
    deletes_data: bool = False
    """Whether the object's end is the end of the job's data."""
    mirrored: bool = False
    """Whether the object was made by the controller for a job made over HTTP."""


def declared(item: Mapping[str, Any]) -> Declared:
    """Return what an `FLJob` says; raise `InvalidParameters` or `InvalidId` naming the field that is wrong."""
    spec = item.get("spec") or {}
    settings = {ours: spec[theirs] for theirs, ours in SETTINGS.items() if spec.get(theirs) is not None}
    if "statistics" in settings:
        settings["statistics"] = _statistics(settings["statistics"])
    schema = spec.get("schema")
    return Declared(
        job=named(item),
        settings=settings,
        schema=Schema.from_json(schema) if schema else None,
        schema_from=job_id(spec["schemaFrom"]) if spec.get("schemaFrom") else None,
        budget=_optional(quantities.nbytes, spec, "budget"),
        interval_s=_optional(quantities.seconds, spec, "roundInterval"),
        retention_s=_optional(quantities.seconds, spec, "retention"),
        deletes_data=spec.get("deletionPolicy") == "Delete",
        mirrored=(item["metadata"].get("labels") or {}).get(ORIGIN) == "http",
    )


def named(item: Mapping[str, Any]) -> JobId:
    """Return the job that an object is about: the one it names, or else the one of its own name."""
    spec = item.get("spec") or {}
    return job_id(spec.get("job") or item["metadata"]["name"])


def record(wanted: Declared, schema: Schema, created_at: float) -> Job:
    """Return the job to be stored. A budget without `hotRounds` decides how many rounds are kept hot.

    Raises `InvalidParameters` for settings that no job may have.
    """
    job = Job(wanted.job, schema, **{"created_at": created_at, **wanted.settings})
    if wanted.budget is None or "hot_rounds" in wanted.settings:
        return job
    return Job(
        wanted.job, schema, **{"created_at": created_at, **wanted.settings, "hot_rounds": _fitting(job, wanted.budget)}
    )


def differences(wanted: Declared, stored: Job) -> list[str]:
    """Return where the object contradicts the job that is stored, in words."""
    found = [
        f"{name} is {_shown(getattr(stored, name))} there and {_shown(value)} here"
        for name, value in wanted.settings.items()
        if getattr(stored, name) != value
    ]
    if wanted.schema is not None and wanted.schema != stored.schema:
        found.append(
            f"the schema there has {len(stored.schema.tensors)} tensors and {stored.schema.parameters} parameters"
        )
    return found


def over_budget(wanted: Declared, stored: Job) -> str | None:
    """Say how the job's hot rounds exceed its budget; None when they do not."""
    if wanted.budget is None or working_set_bytes(stored) <= wanted.budget:
        return None
    return (
        f"{stored.hot_rounds} hot rounds of {stored.clients_per_round} clients take "
        f"{format_size(working_set_bytes(stored))}, over the budget of "
        f"{format_size(wanted.budget)}; raise the budget, or declare a job with fewer hot rounds"
    )


def lingering_s(wanted: Declared, window_s: int) -> float:
    """Return how long an idle shard should stay for this job: what it says, or else until its next round is due.

    An interval over an hour, the longest that Knative keeps an idle pod, is not waited for at all.
    """
    if wanted.retention_s is not None:
        return float(wanted.retention_s)
    if wanted.interval_s is None or wanted.interval_s * SLACK - window_s > 3600:
        return 0.0
    return max(0.0, wanted.interval_s * SLACK - window_s)


def _fitting(job: Job, budget: int) -> int:
    """Return the most hot rounds, beside the open one, within `budget`; 1 at the least."""
    one = working_set_bytes(job) // (job.hot_rounds + 1)
    return max(1, min(1000, budget // one - 1))


def _statistics(text: str) -> StatisticsMode:
    try:
        return StatisticsMode(text)
    except ValueError as error:
        modes = ", ".join(mode.value for mode in StatisticsMode)
        raise InvalidParameters(f"spec.statistics is {text!r}; use one of {modes}") from error


def _optional(parse: Any, spec: Mapping[str, Any], name: str) -> int | None:
    found: int | None = parse(f"spec.{name}", str(spec[name])) if spec.get(name) is not None else None
    return found


def _shown(value: Any) -> Any:
    return value.value if isinstance(value, StatisticsMode) else value
