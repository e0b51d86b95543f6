"""The controller's memory, which is in the object store: the jobs' records and the placement table."""

import json

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.ids import JobId
from flstore_core.placement import Table
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore
from services.common import job_records


class Memory:
    """Reads and writes records and table. Synchronous: call it in a thread. Errors are the store's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def list_jobs(self) -> set[JobId]:
        """Return the names below `jobs/`. Some of them may not have a record yet, or may have lost it already."""
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
        """Store a new job; return False if there is one of that name."""
        return job_records.create_job(self._store, job)

    def delete_job(self, job: JobId) -> None:
        """Delete a job and everything that it stored."""
        job_records.delete_job(self._store, job)

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
