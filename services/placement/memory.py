"""The controller's memory, which is in the object store: the jobs' records and the placement table."""

import json
import logging
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace

from flstore_core import layout
from flstore_core.errors import NewerFormat, NotFound, StoreUnavailable
from flstore_core.generations import BeingDeleted, Generations, new_generation
from flstore_core.ids import JobId
from flstore_core.placement import Table
from flstore_core.records import REMOVED, Job, to_bytes
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import CorruptDocument, load_json

logger = logging.getLogger(__name__)

READERS = 8
"""Threads that read jobs' records at once."""


class Memory:
    """Reads and writes records and table. Synchronous: call it in a thread. Errors are the store's."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store
        self._generations = Generations(store)
        self._being_deleted: set[JobId] = set()
        """Jobs that were seen with a deletion that had not ended."""

    def read_jobs(self) -> dict[JobId, Job]:
        """Return all jobs by name, without those of a later version, which only its controller can place.

        Names of deleted jobs stay in the store, so every record has to be read.
        """
        names = [JobId(name) for name in self._store.folders("jobs")]
        with ThreadPoolExecutor(READERS, thread_name_prefix="jobs") as readers:
            jobs = list(readers.map(self._read_known, names))
        return {job.id: job for job in jobs if job}

    def _read_known(self, job: JobId) -> Job | None:
        try:
            return self.read_job(job)
        except NewerFormat as error:
            logger.warning("job passed over", extra={"job": job, "error": error.detail})
            return None

    def read_job(self, job: JobId) -> Job | None:
        """Return the job's record, or None if it has none or is deleted.

        Raises:
            NewerFormat: if a later version wrote it in a format of its own.
            StoreUnavailable: if the object is not a job record.
        """
        try:
            return self._generations.read_placeable(job)
        except BeingDeleted:
            self._being_deleted.add(job)
            return None
        except NotFound:
            return None
        except CorruptDocument as error:
            raise StoreUnavailable(f"object {layout.job(job)!r} is not a job record: {error!r}") from error

    def create_job(self, job: Job) -> bool:
        """Store a new job, in a generation of its own; return False if there is one of that name."""
        return self._generations.begin(replace(job, generation=new_generation()))

    def delete_job(self, job: JobId) -> None:
        """Delete a job and all its objects, if there is one."""
        with suppress(NotFound):
            self._generations.delete(job)

    def finish_deletions(self) -> None:
        """Go on with the deletions that were seen: they may have broken off. Those that have not come to no harm."""
        while self._being_deleted:
            self._generations.finish_deletion(self._being_deleted.pop())

    def has_program(self, job: Job) -> bool:
        """Say whether the job has an exported program, so that predictors can run its models."""
        try:
            return REMOVED not in load_json(self._store, layout.program_record(job.home))
        except NotFound:
            return False

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
