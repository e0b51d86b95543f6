"""Creates and deletes jobs: their record in the store, their place among the shards."""

import logging

from flstore_core import layout
from flstore_core.errors import Conflict, FLStoreError, NotFound, PreconditionFailed
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore
from services.gateway.backends.caches import Caches
from services.gateway.backends.placement import Placement
from services.gateway.rounds.index import Catalog, JobIndex

logger = logging.getLogger(__name__)


class Jobs:
    """Creates and deletes jobs. Safe to share between threads."""

    def __init__(self, store: ObjectStore, catalog: Catalog, placement: Placement, caches: Caches) -> None:
        self._store = store
        self._catalog = catalog
        self._placement = placement
        self._caches = caches

    def create(self, wanted: Job) -> tuple[JobIndex, bool]:
        """Store a job and have it placed; return it, and whether it is new. What no shard can hold is taken back.

        Raises:
            Conflict: if another job has that name.
            InsufficientCapacity: if no shard can hold a slice of it.
        """
        created = self._put(wanted)
        index = self._catalog.refresh(wanted.id)
        if index.job != wanted:
            raise Conflict(f"job {wanted.id!r} exists with another schema or other settings; choose another name")
        try:
            self._placement.place(wanted.id)
        except FLStoreError:
            if created:
                self._store.delete(layout.job(wanted.id))
                self._catalog.forget(wanted.id)
            raise
        return index, created

    def delete(self, job: JobId) -> None:
        """Remove a job and everything it stored; raise `NotFound` if there is none.

        The record that makes it a job goes first: what is left if this breaks off is out of reach, and goes when a job
        of that name is created.
        """
        self._catalog.refresh(job)
        self._store.delete(layout.job(job))
        self._store.delete_prefix(layout.job_prefix(job))
        self._catalog.forget(job)
        self._caches.forget_job(self._placement.fetch_awake(), job)
        try:
            self._placement.forget(job)
        except FLStoreError as error:
            logger.warning("the controller will find the job gone", extra={"job": job, "error": error.detail})

    def _put(self, wanted: Job) -> bool:
        self._clear_leftovers(wanted.id)
        try:
            self._store.put(layout.job(wanted.id), to_bytes(wanted.to_json()), if_none_match=True)
        except PreconditionFailed:
            return False
        return True

    def _clear_leftovers(self, job: JobId) -> None:
        """Remove what a deletion that broke off has left, lest it be taken for the new job's."""
        try:
            self._store.stat(layout.job(job))
        except NotFound:
            for prefix in (layout.rounds_prefix(job), layout.artifacts_prefix(job)):
                if any(True for _ in self._store.list(prefix)):
                    self._store.delete_prefix(prefix)
