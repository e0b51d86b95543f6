"""Jobs that were made over HTTP, shown as `FLJob` objects like the others."""

import hashlib
import re

from flstore_core.ids import JobId
from flstore_core.records import Job
from services.placement.fljobs.spec import SETTINGS
from services.placement.kube.resources import FIELD_MANAGER, FLJOBS, INSTANCE, MANAGED_BY, ORIGIN, Json

_OBJECT_NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,61}[a-z0-9])?")


def object_name(job: JobId, taken: bool = False) -> str:
    """Return the job's own name where an object may have it and it is not `taken`, else one that resembles it."""
    if not taken and _OBJECT_NAME.fullmatch(job) and ".." not in job and ".-" not in job and "-." not in job:
        return job
    stem = re.sub(r"[^a-z0-9]+", "-", job.lower()).strip("-")[:40].strip("-") or "job"
    return f"{stem}-{hashlib.sha256(job.encode()).hexdigest()[:8]}"


def mirrored(job: Job, name: str, release: str, owners: list[Json]) -> Json:
    """Return the object of a job made over HTTP; its schema stays in the store, where it is already."""
    settings = {theirs: getattr(job, ours) for theirs, ours in SETTINGS.items() if getattr(job, ours) is not None}
    settings["statistics"] = job.statistics.value
    labels = {ORIGIN: "http", MANAGED_BY: FIELD_MANAGER, INSTANCE: release}
    return {**FLJOBS.head(name, labels=labels, ownerReferences=owners), "spec": {"job": job.id, **settings}}
