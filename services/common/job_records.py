"""Creates and deletes jobs in the store. Gateways do so for the HTTP API, and the controller for `FLJob` objects.

A job exists as long as its record does. A deletion removes the record first. If it breaks off after that, nobody can
reach what is left, and it is removed before a job of that name is created again.
"""

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore


def create_job(store: ObjectStore, job: Job) -> bool:
    """Store a new job's record and return True; return False if there is a job of that name."""
    if _exists(store, job.id):
        return False
    _clear_leftovers(store, job.id)
    try:
        store.put(layout.job(job.id), to_bytes(job.to_json()), if_none_match=True)
    except PreconditionFailed:
        return False
    return True


def delete_job(store: ObjectStore, job: JobId) -> None:
    """Delete a job and everything that it stored."""
    store.delete(layout.job(job))
    store.delete_prefix(layout.job_prefix(job))


def _exists(store: ObjectStore, job: JobId) -> bool:
    try:
        store.stat(layout.job(job))
    except NotFound:
        return False
    return True


def _clear_leftovers(store: ObjectStore, job: JobId) -> None:
    """Delete what a deletion that broke off has left, so that a new job does not inherit it.

    This names all that a job may store but its record: somebody else may be creating the job at this moment.
    """
    for prefix in (layout.rounds_prefix(job), layout.artifacts_prefix(job), layout.datasets_prefix(job)):
        if any(store.list(prefix)):
            store.delete_prefix(prefix)
    store.delete(layout.program_record(job))
    store.delete(layout.program(job))
