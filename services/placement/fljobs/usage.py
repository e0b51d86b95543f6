"""Counts how much of each job is in the object store, without listing all of it every time.

Only an erasure changes a committed round. So the sizes of committed rounds are remembered, and a count lists only those
rounds that were not committed at the count before. With 1,000 committed rounds and one open round, a count lists the
names of the rounds, the objects of one round, the artifacts and the data sets. Once an hour all is counted afresh,
because clients may have been erased.
"""

from dataclasses import dataclass, field

from flstore_core import layout
from flstore_core.ids import Home, JobId
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from services.placement.timing import Time

FRESH_S = 10.0
"""Seconds for which a count is reused."""
RECOUNT_S = 3600.0
"""Seconds after which committed rounds are counted afresh too."""


@dataclass(frozen=True, slots=True)
class Durable:
    """What the store holds of a job."""

    committed: int
    """Number of committed rounds."""
    open: int
    """Number of rounds that are not committed yet."""
    latest: int | None
    """The newest committed round."""
    nbytes: int


@dataclass
class _Count:
    """What is remembered of one job."""

    home: Home
    begun_at: float
    committed: dict[str, int] = field(default_factory=dict)
    """Bytes of each committed round, by the name of its folder."""
    counted_at: float = 0.0
    durable: Durable | None = None


class Usage:
    """Counts the rounds and bytes of jobs. Synchronous: call it in a thread, for one job at a time."""

    def __init__(self, store: ObjectStore, time: Time) -> None:
        self._store = store
        self._time = time
        self._counts: dict[JobId, _Count] = {}

    def measure(self, job: Job) -> Durable:
        """Return what is stored of a job, as of at most `FRESH_S` ago."""
        now = self._time.monotonic()
        count = self._counts.get(job.id)
        if count is None or count.home != job.home or now - count.begun_at >= RECOUNT_S:
            count = self._counts[job.id] = _Count(job.home, begun_at=now)
        if count.durable is None or now - count.counted_at >= FRESH_S:
            count.durable, count.counted_at = self._count(count), now
        return count.durable

    def forget(self, job: JobId) -> None:
        self._counts.pop(job, None)

    def _count(self, count: _Count) -> Durable:
        names = set(self._store.folders(layout.rounds_prefix(count.home)))
        count.committed = {name: size for name, size in count.committed.items() if name in names}
        open_rounds: dict[str, int] = {}
        for name in names - count.committed.keys():
            objects = list(self._store.list(layout.rounds_prefix(count.home) + name))
            is_committed = any(info.key.endswith("/round.json") for info in objects)
            (count.committed if is_committed else open_rounds)[name] = sum(info.size for info in objects)
        total = sum(count.committed.values()) + sum(open_rounds.values()) + self._sum_other_objects(count.home)
        latest = max((int(name) for name in count.committed if name.isdecimal()), default=None)
        return Durable(len(count.committed), len(open_rounds), latest, total)

    def _sum_other_objects(self, home: Home) -> int:
        folders = (layout.artifacts_prefix(home), layout.datasets_prefix(home))
        return sum(info.size for folder in folders for info in self._store.list(folder))
