"""How many shards the jobs need, where shards come and go with them."""

from collections.abc import Iterable

from flstore_core.placement.planner import working_set
from flstore_core.records import Job


def shards_needed(jobs: Iterable[Job], cache_bytes: int, most: int) -> int:
    """Return the number of shards of `cache_bytes` each that hold the jobs' working sets with all replicas.

    At least as many as the job with the most replicas has, at most `most`, and none for no jobs.
    """
    known = tuple(jobs)
    wanted = -(-sum(working_set(job) * job.replicas for job in known) // cache_bytes)
    return min(most, max([wanted, *(job.replicas for job in known)]))
