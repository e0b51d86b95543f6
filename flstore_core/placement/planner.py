"""The plan: how many slices a job has, which shards hold each, and how many shards the jobs need.

Example (`tests/placement/test_planner.py` runs it): ResNet18 has 46.76 MB of parameters. A job of 10 clients a round
keeps 2 hot rounds and the open one, each with its aggregate: 11 * 3 = 33 models are 1,543 MB. Over shards of 512 MiB
(537 MB) that is 2.87 budgets, so the job gets 3 slices.
"""

from collections.abc import Iterable, Mapping

from flstore_core.errors import FLStoreError, InsufficientCapacity, InvalidParameters
from flstore_core.ids import JobId, ShardId
from flstore_core.placement.allocation import allocate
from flstore_core.placement.base import Assignment, Observed, Plan, Shard
from flstore_core.records import Job
from flstore_core.units import format_size

MIN_SLICE_PARAMETERS = 4096
"""Least parameters of a planned slice: smaller ones would cost more in requests than they save."""


def plan(observed: Observed) -> Plan:
    """Return the placement of every job that can be placed, and for the others the reason why not.

    The plan depends on nothing but `observed`, and planning again from its outcome changes nothing. A slice stays where
    it is unless its shard is gone or holds more than its fair share.
    """
    jobs: dict[JobId, Assignment] = {}
    refused: dict[JobId, FLStoreError] = {}
    for job in observed.jobs:
        try:
            jobs[job.id] = place(job, observed.shards, observed.current.get(job.id))
        except FLStoreError as error:
            refused[job.id] = error
    return Plan(jobs, refused)


class Planner:
    """Plans as `plan` does, but plans a placed job again only if the job, its placement or the shards have changed."""

    def __init__(self) -> None:
        self._shards: tuple[Shard, ...] = ()
        self._settled: dict[JobId, tuple[Job, Assignment]] = {}
        """Jobs as they were when they were last placed, and where."""

    def plan(self, observed: Observed) -> Plan:
        """Return what `plan(observed)` returns."""
        if observed.shards != self._shards:
            self._shards, self._settled = observed.shards, {}
        due = tuple(job for job in observed.jobs if not self._is_settled(job, observed.current.get(job.id)))
        planned = plan(Observed(observed.shards, due, observed.current))
        jobs = {
            job.id: planned.jobs[job.id] if job.id in planned.jobs else self._settled[job.id][1]
            for job in observed.jobs
            if job.id not in planned.refused
        }
        self._settled = {job.id: (job, jobs[job.id]) for job in observed.jobs if job.id in jobs}
        return Plan(jobs, planned.refused)

    def _is_settled(self, job: Job, current: Assignment | None) -> bool:
        return self._settled.get(job.id) == (job, current)


def place(job: Job, shards: tuple[Shard, ...], current: Assignment | None = None) -> Assignment:
    """Return which shards hold the slices of one job.

    Raises:
        InvalidParameters: if the job asks for more replicas than there are shards, or for more slices than it has
            parameters.
        InsufficientCapacity: if too few shards can hold even one slice of one update.
    """
    if job.replicas > len(shards):
        raise InvalidParameters(
            f"job {job.id!r}: replicas is {job.replicas}, but there are {len(shards)} shards; "
            f"use at most {len(shards)}, or add shards"
        )
    slices = count_slices(job, shards, current)
    weights = _shards_with_room(job, slices, shards)
    kept = current.owners if current and current.slices == slices else ((),) * slices
    owners = allocate(job.id, job.replicas, weights, kept)
    return Assignment(owners, job.replicas, unknown=current.unknown if current else {})


def count_slices(job: Job, shards: tuple[Shard, ...], current: Assignment | None = None) -> int:
    """Return the number of slices: what the job asks for, or has already, or its working set over a shard's budget.

    A planned number is at most the number of shards, and 1 for tiny models. It is planned again only if a slice no
    longer fits any shard.
    """
    if job.slices is not None:
        if job.slices > job.schema.parameters:
            raise InvalidParameters(
                f"job {job.id!r}: slices is {job.slices}, but the schema has {job.schema.parameters} parameters"
            )
        return job.slices
    if current and _largest_slice(job, current.slices) <= max(shard.cache_bytes for shard in shards):
        return current.slices
    full_shards = -(-working_set_bytes(job) // min(shard.cache_bytes for shard in shards))
    return max(1, min(full_shards, len(shards), job.schema.parameters // MIN_SLICE_PARAMETERS))


def working_set_bytes(job: Job) -> int:
    """Return the bytes that should be cached: updates and aggregates of the hot rounds and of the open one."""
    return (job.clients_per_round + 1) * (job.hot_rounds + 1) * job.schema.nbytes


def shards_needed(jobs: Iterable[Job], cache_bytes: int, most: int) -> int:
    """Return the number of shards of `cache_bytes` each that hold the working sets of `jobs` with all replicas.

    It is at least the largest number of replicas of a job, at most `most`, and zero for no jobs.
    """
    placed = tuple(jobs)
    full_shards = -(-sum(working_set_bytes(job) * job.replicas for job in placed) // cache_bytes)
    return min(most, max([full_shards, *(job.replicas for job in placed)]))


def _shards_with_room(job: Job, slices: int, shards: tuple[Shard, ...]) -> Mapping[ShardId, int]:
    """Return the weights of the shards that can hold one slice of one update."""
    needed = _largest_slice(job, slices)
    weights = {shard.id: shard.cache_bytes for shard in shards if shard.cache_bytes >= needed}
    if len(weights) >= job.replicas:
        return weights
    largest = max(shard.cache_bytes for shard in shards)
    raise InsufficientCapacity(
        f"job {job.id!r}: one slice of one update takes {format_size(needed)} ({slices} slices of "
        f"{format_size(job.schema.nbytes)}) and needs {job.replicas} shards of that size; {len(weights)} of "
        f"{len(shards)} have it, the largest has {format_size(largest)}; give shards more memory "
        "(FLSTORE_CACHE_BYTES), or add shards (FLSTORE_SHARDS)",
        slice_bytes=needed,
        update_bytes=job.schema.nbytes,
        slices=slices,
        replicas=job.replicas,
        shards_able=len(weights),
        largest_shard_bytes=largest,
    )


def _largest_slice(job: Job, slices: int) -> int:
    return max(job.schema.slice_nbytes(index, slices) for index in range(slices))
