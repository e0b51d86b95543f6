"""Creates and deletes jobs. A job is a record in the store, and a place for its slices among the shards."""

import logging
from dataclasses import replace

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError
from flstore_core.ids import JobId
from flstore_core.records import Job
from services.common.job_records import create_job, delete_job
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
        created = create_job(self._store, replace(job, created_at=self._time.now()))
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
        """Delete a job and everything it stored; raise `NotFound` if there is none."""
        self._catalog.refresh(job)
        delete_job(self._store, job)
        self._catalog.forget(job)
        self._outbox.settle(job, FORGET_AFTER_S)  # a slice that came after the next call would stay in its shard
        self._caches.forget_job(self._placement.fetch_awake(), job)
        try:
            self._placement.forget(job)
        except FLStoreError as error:
            # The controller also looks at the store by itself, and plans without the job as soon as it finds it gone.
            logger.warning("controller not told of deleted job", extra={"job": job, "error": error.detail})
