"""How much of a job is in the object store, without looking at all of it every time."""

from dataclasses import dataclass, field

from flstore_core import layout
from flstore_core.ids import JobId
from flstore_core.storage import ObjectStore
from services.placement.kube.timing import Time

FRESH_S = 10.0
"""What was counted so recently is told again."""
RECOUNT_S = 3600.0
"""Committed rounds change by an erasure only; after this long they are counted anew."""


@dataclass(frozen=True, slots=True)
class Durable:
    """What the store holds of a job."""

    committed: int
    """Committed rounds."""
    open: int
    """Rounds begun and not yet committed."""
    latest: int | None
    """The newest committed round."""
    nbytes: int


@dataclass
class _Count:
    closed: dict[str, int] = field(default_factory=dict)
    """Bytes of each committed round."""
    begun_at: float = 0.0
    counted_at: float = 0.0
    last: Durable | None = None


class Usage:
    """Counts jobs' rounds and bytes. Synchronous: called in a thread, for one job at a time."""

    def __init__(self, store: ObjectStore, time: Time) -> None:
        self._store = store
        self._time = time
        self._counts: dict[JobId, _Count] = {}

    def of(self, job: JobId) -> Durable:
        """Return what is stored of a job, at most `FRESH_S` old."""
        now = self._time.monotonic()
        count = self._counts.get(job)
        if count is None or now - count.begun_at >= RECOUNT_S:
            count = self._counts[job] = _Count(begun_at=now)
        if count.last is None or now - count.counted_at >= FRESH_S:
            count.last, count.counted_at = self._count(job, count), now
        return count.last

    def forget(self, job: JobId) -> None:
        self._counts.pop(job, None)

    def _count(self, job: JobId, count: _Count) -> Durable:
        names = set(self._store.folders(layout.rounds_prefix(job)))
        count.closed = {name: size for name, size in count.closed.items() if name in names}
        begun: dict[str, int] = {}
        for name in names - count.closed.keys():
            objects = list(self._store.list(layout.rounds_prefix(job) + name))
            committed = any(info.key.endswith("/round.json") for info in objects)
            (count.closed if committed else begun)[name] = sum(info.size for info in objects)
        total = sum(count.closed.values()) + sum(begun.values()) + self._beside(job)
        latest = max((int(name) for name in count.closed if name.isdecimal()), default=None)
        return Durable(len(count.closed), len(begun), latest, total)

    def _beside(self, job: JobId) -> int:
        folders = (layout.artifacts_prefix(job), layout.datasets_prefix(job))
        return sum(info.size for folder in folders for info in self._store.list(folder))
