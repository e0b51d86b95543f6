"""What there is: jobs, their rounds and who took part, read from the store and remembered.

Committed rounds never change, so whatever was read of them stays true; only the list of rounds grows, here or through
another gateway, and is read again when it is older than `refresh_seconds` or when something asked for is not on it.
Two things do change the past, and are noticed by the same look: a client's erasure and a job's deletion.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field
from threading import Lock

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable, unknown
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Round
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json

Clock = Callable[[], float]

PATIENCE_S = 0.5
"""Seconds that a reader waits for news while it could be answered with what is known."""


@dataclass
class Index:
    """A job's rounds; implements `flstore_core.workloads.RoundIndex`."""

    job: Job
    committed: list[int] = field(default_factory=list)
    """Ascending."""
    open: list[int] = field(default_factory=list)
    """Ascending."""
    with_aggregate: list[int] = field(default_factory=list)
    """Committed rounds that have one, ascending."""
    participations: dict[ClientId, list[int]] = field(default_factory=dict)
    """Committed rounds by client, ascending."""
    erasures: frozenset[str] = frozenset()
    """Versions of the job's tombstones: where they change, committed rounds did."""
    read_at: float = 0.0

    def rounds_of(self, client: str) -> Sequence[int]:
        """Return the committed rounds a client took part in; raise `NotFound` if there are none."""
        found = self.participations.get(ClientId(client))
        if not found:
            raise unknown("client", client, self.participations)
        return found

    def clients_by_round(self) -> Counter[int]:
        """Return how many clients took part in each committed round."""
        return Counter(number for numbers in self.participations.values() for number in numbers)

    def add(self, record: Round) -> None:
        """Take a committed round in."""
        position = bisect_left(self.committed, record.number)
        if self.committed[position : position + 1] == [record.number]:
            return
        insort(self.committed, record.number)
        if record.aggregate:
            insort(self.with_aggregate, record.number)
        for member in record.members:
            insort(self.participations.setdefault(member.client, []), record.number)
        if record.number in self.open:
            self.open.remove(record.number)


class Catalog:
    """Jobs and their indices. Safe to share between threads.

    Args:
        readers: runs the parallel reads of a first look at a long job.
        refreshers: runs refreshes, which use `readers`.
        clock: seconds, never going back.
        outdated: is told of a job of which nothing read so far can be relied on.
    """

    def __init__(
        self,
        store: ObjectStore,
        readers: Executor,
        refreshers: Executor,
        clock: Clock,
        refresh_seconds: float,
        outdated: Callable[[JobId], object],
    ) -> None:
        self._store = store
        self._readers = readers
        self._refreshers = refreshers
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._outdated = outdated
        self._indices: dict[JobId, Index] = {}
        self._refreshing: dict[JobId, tuple[float, Future[Index]]] = {}
        self._lock = Lock()

    def names(self) -> list[JobId]:
        """Return the names of what may be jobs in the store, sorted: some may be gone already."""
        return sorted(JobId(name) for name in self._store.folders("jobs"))

    def indices(self, names: Iterable[JobId]) -> list[Index]:
        """Return what is known of those of `names` that are jobs."""
        found = []
        for name in names:
            with suppress(NotFound):
                found.append(self.index(name))
        return found

    def job(self, job: JobId) -> Job:
        """Return a job; raise `NotFound` naming the nearest."""
        return self.index(job).job

    def index(self, job: JobId) -> Index:
        """Return what is known of a job's rounds, at most `refresh_seconds` old while the store answers."""
        with self._lock:
            known = self._indices.get(job)
        if known is None:
            return self.refresh(job)
        if self._clock() - known.read_at <= self._refresh_seconds:
            return known
        try:
            return self._refresh_soon(job)
        except TimeoutError:
            return known
        except StoreUnavailable:
            known.read_at = self._clock()
            return known

    def _refresh_soon(self, job: JobId) -> Index:
        """Refresh a job, or join those who wait for that; raise `TimeoutError` if it takes too long for a reader."""
        with self._lock:
            since, refreshing = self._refreshing.get(job, (0.0, None))
            if refreshing is None or refreshing.done():
                since, refreshing = self._clock(), self._refreshers.submit(self.refresh, job)
                self._refreshing[job] = since, refreshing
        return refreshing.result(timeout=max(0.0, since + PATIENCE_S - self._clock()))

    def refresh(self, job: JobId) -> Index:
        """Read the list of rounds again, and the records of those that are new; raise `NotFound` for no such job."""
        read_at = self._clock()
        record = self._read_job(job)
        erasures = frozenset(f"{info.key} {info.etag}" for info in self._store.list(layout.audit_prefix(job)))
        with self._lock:
            known = self._indices.get(job)
            if known is None or not _is_same(known, record, erasures):
                self._outdated(job)
                known = Index(record, erasures=erasures)
            seen = frozenset(known.committed)
        numbers = sorted(int(name) for name in self._store.folders(layout.rounds_prefix(job)) if name.isdecimal())
        fresh = [number for number in numbers if number not in seen]
        found = dict(
            zip(fresh, self._readers.map(lambda number: self._read_committed(job, number), fresh), strict=True)
        )
        unfinished = [number for number, round_ in found.items() if round_ is None]
        there = self._readers.map(lambda number: self._is_open(job, number), unfinished)
        opened = [number for number, is_open in zip(unfinished, there, strict=True) if is_open]
        with self._lock:
            for round_ in found.values():
                if round_ is not None:
                    known.add(round_)
            known.open = [number for number in opened if number not in known.committed]
            known.read_at = read_at
            self._indices[job] = known
        return known

    def committed(self, job: JobId, record: Round) -> None:
        """Learn of a round that was committed through this gateway."""
        with self._lock:
            if known := self._indices.get(job):
                known.add(record)

    def opened(self, job: JobId, number: int) -> None:
        """Learn of a round that was opened through this gateway."""
        with self._lock:
            known = self._indices.get(job)
            if known and number not in known.open and number not in known.committed:
                insort(known.open, number)

    def forget(self, job: JobId) -> None:
        """Drop what is known of a job."""
        with self._lock:
            self._indices.pop(job, None)
        self._outdated(job)

    def _read_job(self, job: JobId) -> Job:
        try:
            return Job.from_json(load_json(self._store, layout.job(job)))
        except NotFound:
            self.forget(job)
            raise unknown("job", job, self.names()) from None

    def _is_open(self, job: JobId, number: int) -> bool:
        """Say whether a round was opened: some servers go on naming the folders of a deleted job for a while."""
        try:
            self._store.stat(layout.opening(job, number))
        except NotFound:
            return False
        return True

    def _read_committed(self, job: JobId, number: int) -> Round | None:
        try:
            return Round.from_json(load_json(self._store, layout.round_record(job, number)))
        except NotFound:
            return None


def _is_same(known: Index, record: Job, erasures: frozenset[str]) -> bool:
    """Say whether a job is the one that is known, and no client was erased from it since."""
    return known.job == record and known.job.created_at == record.created_at and known.erasures == erasures


def newest_before(numbers: Iterable[int], limit: int) -> int | None:
    """Return the largest of `numbers` that is below `limit`, or None."""
    return max((number for number in numbers if number < limit), default=None)
