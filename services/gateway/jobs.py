"""Creates and deletes jobs. A job is a record in the store, and a place for its slices among the shards."""

import logging
from collections.abc import Callable
from dataclasses import replace

from flstore_core.errors import Conflict, FLStoreError, NotFound
from flstore_core.generations import Generations, new_generation
from flstore_core.ids import JobId
from flstore_core.records import Job
from services.common.timing import Time
from services.gateway.backends.outbox import FORGET_AFTER_S
from services.gateway.backends.slices import Backends
from services.gateway.rounds.index import JobIndex, UnknownJob
from services.gateway.rounds.opening import Rounds

logger = logging.getLogger(__name__)


class Jobs:
    """Creates and deletes jobs. Safe to share between threads.

    Args:
        name_generation: returns a generation's name that was never used before.
    """

    def __init__(
        self, rounds: Rounds, backends: Backends, time: Time, name_generation: Callable[[], str] = new_generation
    ) -> None:
        self._generations = Generations(rounds.store)
        self._catalog = rounds.catalog
        self._placement = backends.placement
        self._caches = backends.caches
        self._outbox = backends.outbox
        self._time = time
        self._name_generation = name_generation

    def create(self, job: Job) -> tuple[JobIndex, bool]:
        """Store a job and have it placed; return its index, and whether it is new.

        A new job gets the present time and a generation of its own, whatever `job` says. It is only proposed at first:
        until it has a place, nothing can be put into it. So if no shard can hold it, it is withdrawn, and nothing is
        lost with it.

        Raises:
            Conflict: if another job has that name.
            InsufficientCapacity: if no shard can hold a slice of it.
        """
        created = self._begin(replace(job, created_at=self._time.now(), generation=self._name_generation()))
        index = self._catalog.refresh(job.id)
        if index.job != job:
            raise Conflict(f"job {job.id!r} exists with another schema or other settings; choose another name")
        if not created:
            self._placement.place(job.id)
        return index, created

    def delete(self, job: JobId) -> None:
        """Delete a job and everything it stored; raise `NotFound` if there is none.

        If the deletion breaks off, it is continued when somebody asks for it again or looks at the job.
        """
        try:
            self._generations.delete(job)
        except NotFound:
            self._catalog.forget(job)
            raise UnknownJob(job) from None
        self._catalog.forget(job)
        self._outbox.settle(job, FORGET_AFTER_S)  # a slice that came after the next call would stay in its shard
        self._caches.forget_job(self._placement.fetch_awake(), job)
        try:
            self._placement.forget(job)
        except FLStoreError as error:
            # The controller also looks at the store by itself, and plans without the job as soon as it finds it gone.
            logger.warning("controller not told of deleted job", extra={"job": job, "error": error.detail})

    def _begin(self, job: Job) -> bool:
        """Propose, place and settle a job; return False if there is one of that name.

        The loop ends soon: each further turn means that somebody else has created or deleted the job meanwhile.
        """
        while proposal := self._generations.propose(job):
            try:
                self._placement.place(job.id)
            except FLStoreError:
                self._generations.withdraw(proposal)
                raise
            if self._generations.settle(proposal):
                return True
            # Another creation may have taken the proposal over: its generation has been live then, and may have ended.
            job = replace(job, generation=self._name_generation())
        return False
