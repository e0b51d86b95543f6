"""Jobs' records in the object store, made and removed on behalf of objects, as a gateway does on behalf of callers."""

from flstore_core import layout
from flstore_core.errors import PreconditionFailed
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore
from services.placement.memory import Memory


class Records:
    """Synchronous: called in a thread. Errors are the store's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._memory = Memory(store)

    def get(self, job: JobId) -> Job | None:
        return self._memory.job(job)

    def create(self, job: Job) -> bool:
        """Store a new job, having cleared what a deletion that broke off has left; return False if there is one."""
        if self.get(job.id) is not None:
            return False
        for prefix in (layout.rounds_prefix(job.id), layout.artifacts_prefix(job.id)):
            if any(True for _ in self._store.list(prefix)):
                self._store.delete_prefix(prefix)
        try:
            self._store.put(layout.job(job.id), to_bytes(job.to_json()), if_none_match=True)
        except PreconditionFailed:
            return False
        return True

    def delete(self, job: JobId) -> None:
        """Remove a job and everything it stored, the record that makes it a job first."""
        self._store.delete(layout.job(job))
        self._store.delete_prefix(layout.job_prefix(job))
