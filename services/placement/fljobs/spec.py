"""What an `FLJob` object's specification means, and the object of a job created over HTTP. Nothing here does I/O."""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId, job_id
from flstore_core.placement.planner import working_set_bytes
from flstore_core.records import Job, StatisticsMode, Updates
from flstore_core.schema import Schema
from flstore_core.units import format_size
from services.placement.kube.notation import parse_bytes, parse_duration
from services.placement.kube.resources import FIELD_MANAGER, FLJOBS, INSTANCE, MANAGED_BY, ORIGIN, Json

SLACK = 1.25
"""Shards stay awake for so many times the declared interval of rounds, so that a late round still finds them awake."""
MOST_RETENTION_S = 3600
"""Longest time in seconds for which Knative keeps an idle pod."""

SETTINGS = {
    "statistics": "statistics",
    "updates": "updates",
    "weightKey": "weight_key",
    "clientsPerRound": "clients_per_round",
    "hotRounds": "hot_rounds",
    "replicas": "replicas",
    "slices": "slices",
}
"""Field of the object → field of the job's record."""

_CHOICES: Mapping[str, type[StrEnum]] = {"statistics": StatisticsMode, "updates": Updates}
"""The settings that are one of a few words."""

_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


@dataclass(frozen=True)
class Declaration:
    """The specification of an object, parsed."""

    job: JobId
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the job's record that the object sets. A field that it does not set may have any value."""
    schema: Schema | None = None
    schema_from: JobId | None = None
    """Another job whose schema to use."""
    budget: int | None = None
    """Bytes of shard memory that the job's hot rounds may take."""
    interval_s: int | None = None
    """Seconds from one round to the next."""
    retention_s: int | None = None
    """Seconds for which shards stay awake after the last request."""
    deletes_data: bool = False
    """Whether deleting the object deletes the job's data."""
    mirrored: bool = False
    """Whether the controller made the object, for a job created over HTTP."""


def parse_declaration(item: Mapping[str, Any]) -> Declaration:
    """Return what an `FLJob` object declares.

    Raises:
        InvalidParameters: naming the field that is wrong.
        InvalidId: if a job name is not valid.
    """
    spec = item.get("spec") or {}
    settings = {ours: spec[theirs] for theirs, ours in SETTINGS.items() if spec.get(theirs) is not None}
    for name, words in _CHOICES.items():
        if name in settings:
            settings[name] = _parse_choice(name, words, settings[name])
    schema = spec.get("schema")
    return Declaration(
        job=parse_job_id(item),
        settings=settings,
        schema=Schema.from_json(schema) if schema else None,
        schema_from=job_id(spec["schemaFrom"]) if spec.get("schemaFrom") else None,
        budget=_parse_optional(parse_bytes, spec, "budget"),
        interval_s=_parse_optional(parse_duration, spec, "roundInterval"),
        retention_s=_parse_optional(parse_duration, spec, "retention"),
        deletes_data=spec.get("deletionPolicy") == "Delete",
        mirrored=(item["metadata"].get("labels") or {}).get(ORIGIN) == "http",
    )


def parse_job_id(item: Mapping[str, Any]) -> JobId:
    """Return the job that an object declares: `spec.job`, or else the object's own name."""
    spec = item.get("spec") or {}
    return job_id(spec.get("job") or item["metadata"]["name"])


def make_record(declaration: Declaration, schema: Schema, created_at: float) -> Job:
    """Return the record of a new job. Without `hotRounds`, a budget decides how many rounds are kept hot.

    Raises:
        InvalidParameters: if no job may have these settings.
    """
    stated = "updates" in declaration.settings
    settings = {"created_at": created_at, "updates_stated": stated, **declaration.settings}
    job = Job(declaration.job, schema, **settings)
    if declaration.budget is None or "hot_rounds" in settings:
        return job
    return Job(declaration.job, schema, **{**settings, "hot_rounds": _fit_hot_rounds(job, declaration.budget)})


def find_contradictions(declaration: Declaration, stored: Job) -> list[str]:
    """Return a sentence for each point in which the object contradicts the stored job."""
    contradictions = [
        f"{name} is {_format(getattr(stored, name))} there and {_format(value)} here"
        for name, value in declaration.settings.items()
        if getattr(stored, name) != value
    ]
    if declaration.schema is not None and declaration.schema != stored.schema:
        contradictions.append(
            f"the schema there has {len(stored.schema.tensors)} tensors and {stored.schema.parameters} parameters"
        )
    return contradictions


def explain_excess(declaration: Declaration, stored: Job) -> str | None:
    """Return by how much the job's hot rounds exceed the declared budget; None if they do not."""
    if declaration.budget is None or working_set_bytes(stored) <= declaration.budget:
        return None
    return (
        f"{stored.hot_rounds} hot rounds of {stored.clients_per_round} clients take "
        f"{format_size(working_set_bytes(stored))}, over the budget of "
        f"{format_size(declaration.budget)}; raise the budget, or declare a job with fewer hot rounds"
    )


def compute_retention(declaration: Declaration, window_s: int) -> float:
    """Return the seconds for which idle shards should stay for this job, beyond the autoscaler's window of `window_s`.

    The declared retention counts if there is one, and else the wait for the next round. With rounds 480 s apart and a
    window of 60 s that is 480 × 1.25 − 60 = 540 s. Rounds too far apart for Knative to bridge are not waited for: 0.
    """
    if declaration.retention_s is not None:
        return float(declaration.retention_s)
    if declaration.interval_s is None or declaration.interval_s * SLACK - window_s > MOST_RETENTION_S:
        return 0.0
    return max(0.0, declaration.interval_s * SLACK - window_s)


def choose_object_name(job: JobId, taken: bool = False) -> str:
    """Return the name of the object that mirrors a job: the job's own, or a similar one.

    A similar one, such as `job-1-3f2a9c01` for `Job_1`, is chosen if Kubernetes does not allow the job's name, or if it
    is `taken`.
    """
    if not taken and _OBJECT_NAME.fullmatch(job) and ".." not in job and ".-" not in job and "-." not in job:
        return job
    stem = re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")[:40].strip("-") or "job"
    return f"{stem}-{hashlib.sha256(job.encode()).hexdigest()[:8]}"


def make_mirror(job: Job, name: str, release: str, owners: list[Json]) -> Json:
    """Return the object of a job created over HTTP. It has no schema: that is in the store already."""
    settings = {theirs: getattr(job, ours) for theirs, ours in SETTINGS.items() if getattr(job, ours) is not None}
    if not job.updates_stated:
        del settings["updates"]
    settings |= {name: settings[name].value for name in _CHOICES if name in settings}
    labels = {ORIGIN: "http", MANAGED_BY: FIELD_MANAGER, INSTANCE: release}
    return {**FLJOBS.head(name, labels=labels, ownerReferences=owners), "spec": {"job": job.id, **settings}}


def _fit_hot_rounds(job: Job, budget: int) -> int:
    """Return the most hot rounds, beside the open one, that fit `budget` bytes; at least 1."""
    round_bytes = working_set_bytes(job) // (job.hot_rounds + 1)
    return max(1, min(1000, budget // round_bytes - 1))


def _parse_choice(name: str, words: type[StrEnum], text: str) -> StrEnum:
    try:
        return words(text)
    except ValueError as error:
        raise InvalidParameters(f"spec.{name} is {text!r}; use one of {', '.join(words)}") from error


def _parse_optional(parse: Callable[[str], int], spec: Mapping[str, Any], name: str) -> int | None:
    if spec.get(name) is None:
        return None
    try:
        return parse(str(spec[name]))
    except InvalidParameters as error:
        raise InvalidParameters(f"spec.{name}: {error.detail}") from error


def _format(value: Any) -> Any:
    return value.value if isinstance(value, StrEnum) else value
