"""Creates and deletes jobs. A job is a record in the store, and a place for its slices among the shards."""

import logging
from dataclasses import replace

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError, NotFound, PreconditionFailed
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from services.common.timing import Time
from services.gateway.backends.outbox import FORGET_AFTER_S
from services.gateway.backends.slices import Backends
from services.gateway.rounds.index import JobIndex
from services.gateway.rounds.opening import Rounds

logger = logging.getLogger(__name__)


class Jobs:
    """Creates and deletes jobs. Safe to share between threads."""

    def __init__(self, rounds: Rounds, backends: Backends, time: Time) -> None:
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._placement = backends.placement
        self._caches = backends.caches
        self._outbox = backends.outbox
        self._time = time

    def create(self, job: Job) -> tuple[JobIndex, bool]:
        """Store a job and have it placed; return its index, and whether it is new.

        A new job's `created_at` is set to now. If no shard can hold the job, it is deleted again.

        Raises:
            Conflict: if another job has that name.
            InsufficientCapacity: if no shard can hold a slice of it.
        """
        created = self._put(replace(job, created_at=self._time.now()))
        index = self._catalog.refresh(job.id)
        if index.job != job:
            raise Conflict(f"job {job.id!r} exists with another schema or other settings; choose another name")
        try:
            self._placement.place(job.id)
        except FLStoreError:
            if created:
                self._store.delete(layout.job(job.id))
                self._catalog.forget(job.id)
            raise
        return index, created

    def delete(self, job: JobId) -> None:
        """Delete a job and everything it stored; raise `NotFound` if there is none.

        The job's record goes first. If the deletion breaks off after that, nobody can reach what is left, and it is
        deleted before a job of that name is created again.
        """
        self._catalog.refresh(job)
        self._store.delete(layout.job(job))
        self._store.delete_prefix(layout.job_prefix(job))
        self._catalog.forget(job)
        self._outbox.settle(job, FORGET_AFTER_S)  # a slice that came after the next call would stay in its shard
        self._caches.forget_job(self._placement.fetch_awake(), job)
        try:
            self._placement.forget(job)
        except FLStoreError as error:
            # The controller also looks at the store by itself, and plans without the job as soon as it finds it gone.
            logger.warning("controller not told of deleted job", extra={"job": job, "error": error.detail})

    def _put(self, job: Job) -> bool:
        """Store a job's record and return True; return False if there is one."""
        self._clear_leftovers(job.id)
        try:
            self._store.put(layout.job(job.id), to_bytes(job.to_json()), if_none_match=True)
        except PreconditionFailed:
            return False
        return True

    def _clear_leftovers(self, job: JobId) -> None:
        """Delete what a deletion that broke off has left, so that a new job does not inherit it."""
        try:
            self._store.stat(layout.job(job))
            return
        except NotFound:
            pass
        for prefix in (layout.rounds_prefix(job), layout.artifacts_prefix(job), layout.datasets_prefix(job)):
            if any(self._store.list(prefix)):
                self._store.delete_prefix(prefix)
        self._store.delete(layout.program_record(job))
        self._store.delete(layout.program(job))
