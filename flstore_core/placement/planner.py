"""The plan: how many slices a job has, and which shards hold each."""

from collections.abc import Mapping

from flstore_core.errors import FLStoreError, InsufficientCapacity, InvalidParameters
from flstore_core.ids import JobId, ShardId
from flstore_core.placement.allocation import allocate
from flstore_core.placement.base import Assignment, Observed, Plan, Shard
from flstore_core.records import Job
from flstore_core.units import format_size

MIN_SLICE_PARAMETERS = 4096
"""Smaller slices than this cost more in requests than they save in anything."""


def plan(observed: Observed) -> Plan:
    """Return a place for every job that can have one, and for the others the reason why not.

    Depends on nothing but `observed`, and planning again from its own outcome changes nothing. What already has a
    place keeps it, unless its shard is gone or holds more than its fair share.
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
    """Plans as `plan` does, but looks again at a placed job only when it, its place or the shards have changed."""

    def __init__(self) -> None:
        self._shards: tuple[Shard, ...] = ()
        self._settled: dict[JobId, tuple[Job, Assignment]] = {}

    def plan(self, observed: Observed) -> Plan:
        """Return what `plan(observed)` would."""
        if observed.shards != self._shards:
            self._shards, self._settled = observed.shards, {}
        due = tuple(job for job in observed.jobs if not self._is_settled(job, observed.current.get(job.id)))
        found = plan(Observed(observed.shards, due, observed.current))
        jobs = {
            job.id: found.jobs[job.id] if job.id in found.jobs else self._settled[job.id][1]
            for job in observed.jobs
            if job.id not in found.refused
        }
        self._settled = {job.id: (job, jobs[job.id]) for job in observed.jobs if job.id in jobs}
        return Plan(jobs, found.refused)

    def _is_settled(self, job: Job, current: Assignment | None) -> bool:
        return self._settled.get(job.id) == (job, current)


def place(job: Job, shards: tuple[Shard, ...], current: Assignment | None = None) -> Assignment:
    """Return who holds the slices of one job.

    Raises `InvalidParameters` when the job wants more replicas than there are shards or more slices than it has
    parameters, and `InsufficientCapacity` when too few shards can hold even one slice of one update.
    """
    if job.replicas > len(shards):
        raise InvalidParameters(
            f"job {job.id!r}: replicas is {job.replicas}, but there are {len(shards)} shards; "
            f"use at most {len(shards)}, or add shards"
        )
    slices = slices_of(job, shards, current)
    weights = _able(job, slices, shards)
    kept = current.owners if current and current.slices == slices else ((),) * slices
    return Assignment(allocate(job.id, job.replicas, weights, kept), job.replicas)


def slices_of(job: Job, shards: tuple[Shard, ...], current: Assignment | None = None) -> int:
    """Return S: what the job asks for, or has, or else its working set over the smallest shard's budget.

    A planned S is at most the number of shards, and 1 for tiny models; it is planned anew only when a slice has come
    to fit no shard.
    """
    if job.slices is not None:
        if job.slices > job.schema.parameters:
            raise InvalidParameters(
                f"job {job.id!r}: slices is {job.slices}, but the schema has {job.schema.parameters} parameters"
            )
        return job.slices
    if current and _largest_slice(job, current.slices) <= max(shard.cache_bytes for shard in shards):
        return current.slices
    wanted = -(-working_set(job) // min(shard.cache_bytes for shard in shards))
    return max(1, min(wanted, len(shards), job.schema.parameters // MIN_SLICE_PARAMETERS))


def working_set(job: Job) -> int:
    """Return the bytes the policy wants hot: the updates and aggregates of the hot rounds and of the open one."""
    return (job.clients_per_round + 1) * (job.hot_rounds + 1) * job.schema.nbytes


def _able(job: Job, slices: int, shards: tuple[Shard, ...]) -> Mapping[ShardId, int]:
    """Return the weights of the shards that can hold a slice of one update."""
    needed = _largest_slice(job, slices)
    able = {shard.id: shard.cache_bytes for shard in shards if shard.cache_bytes >= needed}
    if len(able) >= job.replicas:
        return able
    largest = max(shard.cache_bytes for shard in shards)
    raise InsufficientCapacity(
        f"job {job.id!r}: one slice of one update takes {format_size(needed)} ({slices} slices of "
        f"{format_size(job.schema.nbytes)}) and needs {job.replicas} shards of that size; {len(able)} of {len(shards)} "
        f"have it, the largest has {format_size(largest)}; give shards more memory, or add shards",
        slice_bytes=needed,
        update_bytes=job.schema.nbytes,
        slices=slices,
        replicas=job.replicas,
        shards_able=len(able),
        largest_shard_bytes=largest,
    )


def _largest_slice(job: Job, slices: int) -> int:
    return max(job.schema.slice_nbytes(index, slices) for index in range(slices))
