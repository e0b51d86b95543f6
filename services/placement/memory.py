"""What the object store remembers for the controller: the jobs' records and the placement table."""

import json

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed, StoreUnavailable
from flstore_core.ids import JobId
from flstore_core.placement import Table
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore


class Memory:
    """Reads and writes records and table. Synchronous: call it in a thread. Errors are the store's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def list_jobs(self) -> set[JobId]:
        """Return the names below `jobs/`; some may have no record yet, or no longer."""
        return {JobId(name) for name in self._store.folders("jobs")}

    def read_job(self, job: JobId) -> Job | None:
        """Return the job's record, or None if it has none.

        Raises:
            StoreUnavailable: if the object is not a job record.
        """
        try:
            data = self._store.get(layout.job(job))
        except NotFound:
            return None
        try:
            return Job.from_json(json.loads(data))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(f"object {layout.job(job)!r} is not a job record: {error!r}") from error

    def create_job(self, job: Job) -> bool:
        """Store a new job; return False if there is one of that name.

        What an interrupted deletion of an earlier job has left under the name is deleted first.
        """
        if self.read_job(job.id) is not None:
            return False
        for prefix in (layout.rounds_prefix(job.id), layout.artifacts_prefix(job.id)):
            if any(True for _ in self._store.list(prefix)):
                self._store.delete_prefix(prefix)
        try:
            self._store.put(layout.job(job.id), to_bytes(job.to_json()), if_none_match=True)
        except PreconditionFailed:
            return False
        return True

    def delete_job(self, job: JobId) -> None:
        """Delete a job and all its objects, its record first."""
        self._store.delete(layout.job(job))
        self._store.delete_prefix(layout.job_prefix(job))

    def has_program(self, job: JobId) -> bool:
        """Say whether the job has an exported program, so that predictors can run its models."""
        try:
            self._store.stat(layout.program_record(job))
        except NotFound:
            return False
        return True

    def read_table(self) -> tuple[Table, str | None]:
        """Return the stored table and its etag; an empty table of version 0 and None if there is none.

        Raises:
            StoreUnavailable: if the object is not a table.
        """
        try:
            data, info = self._store.get_with_info(layout.TABLE)
        except NotFound:
            return Table(), None
        try:
            return Table.from_json(json.loads(data)), info.etag
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(f"object {layout.TABLE!r} is not a placement table: {error!r}") from error

    def swap_table(self, table: Table, etag: str | None) -> str:
        """Replace the table that has `etag`, or create it if `etag` is None, and return the new etag.

        Raises:
            PreconditionFailed: if another controller has changed the table meanwhile.
        """
        body = to_bytes(table.to_json())
        if etag is None:
            return self._store.put(layout.TABLE, body, if_none_match=True).etag
        return self._store.put(layout.TABLE, body, if_match=etag).etag
