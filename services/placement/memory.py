"""What the object store remembers for the controller: the jobs there are, and the table."""

import json

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable
from flstore_core.ids import JobId
from flstore_core.placement import Table
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore


class Memory:
    """Reads jobs, reads and swaps the table. Synchronous: called in a thread."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def job_ids(self) -> set[JobId]:
        """Return the names below `jobs/`; some may have no record (yet, or any more)."""
        return {JobId(name) for name in self._store.folders("jobs")}

    def job(self, job: JobId) -> Job | None:
        """Return the job's record, or None where there is none."""
        try:
            data = self._store.get(layout.job(job))
        except NotFound:
            return None
        try:
            return Job.from_json(json.loads(data))
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(f"object {layout.job(job)!r} is no job record: {error!r}") from error

    def has_program(self, job: JobId) -> bool:
        """Say whether the job's models can be run, so that predictors are of use to it."""
        try:
            self._store.stat(layout.program_record(job))
        except NotFound:
            return False
        return True

    def table(self) -> tuple[Table, str | None]:
        """Return the stored table and its etag; version 0 and None where there is none."""
        try:
            data, info = self._store.get_with_info(layout.TABLE)
        except NotFound:
            return Table(), None
        try:
            return Table.from_json(json.loads(data)), info.etag
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable(f"object {layout.TABLE!r} is no placement table: {error!r}") from error

    def swap_table(self, table: Table, etag: str | None) -> str:
        """Replace the table that has `etag` (None: create it) and return the new etag.

        Raises `PreconditionFailed` when another controller was faster.
        """
        body = to_bytes(table.to_json())
        if etag is None:
            return self._store.put(layout.TABLE, body, if_none_match=True).etag
        return self._store.put(layout.TABLE, body, if_match=etag).etag
