"""A job's slices and the shards that hold them."""

from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import TypeVar

from flstore_core.ids import ShardId
from flstore_core.records import Job
from flstore_core.shard.protocol import SliceRef
from services.gateway.backends.caches import Caches
from services.gateway.backends.outbox import Outbox
from services.gateway.backends.placement import Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class HeldSlice:
    """One slice of a job, and the shards that hold it."""

    part: SliceRef
    urls: list[str]
    """Addresses of the slice's shards, most preferred first."""


@dataclass(frozen=True, slots=True)
class Backends:
    """What a gateway needs to call backends: the placement table, the calls themselves, threads, and the outbox."""

    placement: Placement
    shards: Shards
    predictors: Predictors
    caches: Caches
    callers: Executor
    outbox: Outbox

    def locate_slices(self, job: Job) -> list[HeldSlice]:
        """Return a job's slices in order; have the controller place a job that has no place yet.

        Raises:
            InsufficientCapacity: if no shard can hold a slice of it.
            Unavailable: if the controller does not answer.
        """
        assignment = self.placement.find_or_place(job.id)
        return [
            HeldSlice(
                SliceRef(job.id, job.schema.digest, assignment.slices, index, job.generation),
                self.placement.addresses(assignment, index),
            )
            for index in range(assignment.slices)
        ]

    def owners(self, job: Job) -> tuple[ShardId, ...]:
        """Return the most preferred shard of each slice, without repetitions."""
        assignment = self.placement.find_or_place(job.id)
        return tuple(dict.fromkeys(holders[0] for holders in assignment.owners))

    def count_slices(self, job: Job) -> int:
        """Return into how many slices a job is cut."""
        return self.placement.find_or_place(job.id).slices

    def close(self) -> None:
        """Send no more slices, and close the connections."""
        self.outbox.close()  # first, because it sends over these connections
        for part in (self.placement, self.shards, self.predictors, self.caches):
            part.close()

    def ask_slices(self, job: Job, ask: Callable[[HeldSlice], T]) -> list[T]:
        """Call `ask` for all slices concurrently, and return the results in the order of the slices."""
        return list(self.callers.map(ask, self.locate_slices(job)))
