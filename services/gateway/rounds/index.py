"""Which jobs there are, which rounds each has, and who took part: read from the store and remembered.

**Why this can be cached.** A committed round never changes, so a record that was read once stays true. Only three
things happen to a job after that: it gets more rounds, a client is erased from it, or it is deleted (and perhaps
created anew). Any gateway may do each of them, and gateways do not talk to each other: they meet in the store.

**How a gateway notices.** `Catalog.refresh` looks at the store once:

1. the job's record: if it is missing, or was created at another time, the job that was remembered is gone;
2. the etags of the job's tombstones: an erasure rewrites the records of committed rounds, but it writes a tombstone
   before and again after, so a changed set of etags means that remembered records may be wrong;
3. the names of the round folders: for each that is not remembered as committed, whether it is committed by now, and
   if not, whether it was opened.

After 1 or 2 everything remembered of the job is dropped (`outdated` tells the cache of records) and read again. Else
only the rounds of step 3 are read, which are few. The first look at a long job reads every round's record, side by
side.

**When it looks.** An index is served for `refresh_seconds`; after that, the next reader sets off a refresh and waits
for it `NEWS_WAIT_SECONDS` at most, then is answered from what is remembered. A caller that misses something in the
index calls `refresh` itself before it says that it does not exist: so whatever was acknowledged is found at once
through any gateway, and only lists may be as old as `refresh_seconds`.

For example, at `refresh_seconds` = 1: gateway A commits round 7 at 0.0 s. B looked at -0.4 s and lists rounds up to 6
until 0.6 s; a workload that names round 7 finds it through B at 0.1 s, because B refreshes first.

**Indices are snapshots.** A `JobIndex` never changes: what happens makes a new one, which replaces the old under the
lock. A reader can walk through its snapshot while rounds are committed beside it.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock

from flstore_core import layout
from flstore_core.errors import NotFound, StoreUnavailable, unknown
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Round
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from services.common.timing import Time
from services.gateway.threads import Pools

NEWS_WAIT_SECONDS = 0.5
"""Seconds that a reader waits for a refresh while it could be answered from what is remembered."""


@dataclass(frozen=True)
class JobIndex:
    """A job and its rounds at one moment; implements `flstore_core.workloads.RoundIndex`."""

    job: Job
    committed: Sequence[int] = ()
    """Ascending."""
    open: Sequence[int] = ()
    """Ascending."""
    with_aggregate: Sequence[int] = ()
    """Committed rounds that have one, ascending."""
    participations: Mapping[ClientId, Sequence[int]] = field(default_factory=dict)
    """Committed rounds by client, ascending."""
    erasures: frozenset[str] = frozenset()
    """Keys and etags of the job's tombstones. They change with each erasure."""
    read_at: float = 0.0
    """Monotonic seconds when the reading of it began."""

    def rounds_of(self, client: str) -> Sequence[int]:
        """Return the committed rounds a client took part in; raise `NotFound` if there are none."""
        numbers = self.participations.get(ClientId(client))
        if not numbers:
            raise unknown("client", client, self.participations)
        return numbers

    def clients_by_round(self) -> Counter[int]:
        """Return how many clients took part in each committed round."""
        return Counter(number for numbers in self.participations.values() for number in numbers)

    def with_opened(self, number: int) -> "JobIndex":
        """Return the index with one more open round; the same if the round is in it."""
        if number in self.open or number in self.committed:
            return self
        return replace(self, open=sorted([*self.open, number]))

    def with_committed(self, records: Iterable[Round]) -> "JobIndex":
        """Return the index with these rounds committed; those that it has as committed stay as they are."""
        known = frozenset(self.committed)
        new = {record.number: record for record in records if record.number not in known}
        if not new:
            return self
        participations = {client: list(numbers) for client, numbers in _participations(new.values()).items()}
        for client, numbers in participations.items():
            numbers += self.participations.get(client, ())
            numbers.sort()
        return replace(
            self,
            committed=sorted([*self.committed, *new]),
            open=[number for number in self.open if number not in new],
            with_aggregate=sorted([*self.with_aggregate, *(n for n, record in new.items() if record.aggregate)]),
            participations={**self.participations, **participations},
        )

    def is_outdated(self, job: Job, erasures: frozenset[str]) -> bool:
        """Say whether the store has another job by now, or clients have been erased since."""
        return self.job != job or self.job.created_at != job.created_at or self.erasures != erasures


class Catalog:
    """Jobs and their indices. Safe to share between threads.

    Args:
        pools: `refreshers` run refreshes, which in turn read through `readers`.
        refresh_seconds: how old an index may be before it is read again.
        outdated: called with a job of which nothing read so far can be relied on.
    """

    def __init__(
        self,
        store: ObjectStore,
        pools: Pools,
        time: Time,
        refresh_seconds: float,
        outdated: Callable[[JobId], object],
    ) -> None:
        self._store = store
        self._readers: Executor = pools.readers
        self._refreshers: Executor = pools.refreshers
        self._time = time
        self._refresh_seconds = refresh_seconds
        self._outdated = outdated
        self._indices: dict[JobId, JobIndex] = {}
        self._refreshes: dict[JobId, tuple[float, Future[JobIndex]]] = {}
        """The newest refresh that a reader has set off, and when."""
        self._lock = Lock()

    def list_names(self) -> list[JobId]:
        """Return the names of what may be jobs in the store, sorted. Some may be deleted already."""
        return sorted(JobId(name) for name in self._store.folders("jobs"))

    def read_indices(self, names: Iterable[JobId]) -> list[JobIndex]:
        """Return the indices of those of `names` that are jobs."""
        indices = []
        for name in names:
            with suppress(NotFound):
                indices.append(self.read_index(name))
        return indices

    def read_job(self, job: JobId) -> Job:
        """Return a job; errors and effort as `read_index`."""
        return self.read_index(job).job

    def read_index(self, job: JobId) -> JobIndex:
        """Return a job's index, at most `refresh_seconds` old while the store answers.

        The first call for a job reads the record of every round. Raises `NotFound` naming the nearest jobs.
        """
        with self._lock:
            index = self._indices.get(job)
        if index is None:
            return self.refresh(job)
        if self._time.monotonic() - index.read_at <= self._refresh_seconds:
            return index
        try:
            return self._await_refresh(job)
        except TimeoutError:
            return index
        except StoreUnavailable:
            self._call_fresh(job, index)
            return index

    def refresh(self, job: JobId) -> JobIndex:
        """Look at the store now and return the job's index; raise `NotFound` for no such job."""
        read_at = self._time.monotonic()
        job_record, erasures = self._read_job_record(job), self._read_erasures(job)
        before = self._start_from(job_record, erasures)
        new = self._list_rounds(job) - set(before.committed)
        records = self._read_committed(job, sorted(new))
        opened = self._select_opened(job, sorted(new - {record.number for record in records}))
        with self._lock:
            current = self._indices.get(job)
            if current is None or current.is_outdated(job_record, erasures):
                current = before
            noted = set(current.open) - set(before.open)
            index = replace(current, open=sorted({*opened, *noted} - set(current.committed)), read_at=read_at)
            self._indices[job] = index = index.with_committed(records)
        return index

    def note_commit(self, job: JobId, record: Round) -> None:
        """Take in a round that was committed through this gateway."""
        with self._lock:
            if index := self._indices.get(job):
                self._indices[job] = index.with_committed([record])

    def note_opening(self, job: JobId, number: int) -> None:
        """Take in a round that was opened through this gateway."""
        with self._lock:
            if index := self._indices.get(job):
                self._indices[job] = index.with_opened(number)

    def forget(self, job: JobId) -> None:
        """Drop everything remembered of a job."""
        with self._lock:
            self._indices.pop(job, None)
        self._outdated(job)

    def _await_refresh(self, job: JobId) -> JobIndex:
        """Set off a refresh, or join the one under way; raise `TimeoutError` `NEWS_WAIT_SECONDS` after it began."""
        with self._lock:
            since, refresh = self._refreshes.get(job, (0.0, None))
            if refresh is None or refresh.done():
                since, refresh = self._time.monotonic(), self._refreshers.submit(self.refresh, job)
                self._refreshes[job] = since, refresh
        return refresh.result(timeout=max(0.0, since + NEWS_WAIT_SECONDS - self._time.monotonic()))

    def _call_fresh(self, job: JobId, index: JobIndex) -> None:
        """Leave the store in peace for `refresh_seconds`: while it is away, each look costs its whole timeout."""
        with self._lock:
            if self._indices.get(job) is index:
                self._indices[job] = replace(index, read_at=self._time.monotonic())

    def _start_from(self, job: Job, erasures: frozenset[str]) -> JobIndex:
        """Return the remembered index if it still holds. Else drop what was remembered, and return an empty index."""
        with self._lock:
            index = self._indices.get(job.id)
            if index is None or index.is_outdated(job, erasures):
                self._outdated(job.id)
                return JobIndex(job, erasures=erasures)
            return index

    def _read_job_record(self, job: JobId) -> Job:
        try:
            return Job.from_json(load_json(self._store, layout.job(job)))
        except NotFound:
            self.forget(job)
            raise unknown("job", job, self.list_names()) from None

    def _read_erasures(self, job: JobId) -> frozenset[str]:
        return frozenset(f"{info.key} {info.etag}" for info in self._store.list(layout.audit_prefix(job)))

    def _list_rounds(self, job: JobId) -> set[int]:
        return {int(name) for name in self._store.folders(layout.rounds_prefix(job)) if name.isdecimal()}

    def _read_committed(self, job: JobId, numbers: Sequence[int]) -> list[Round]:
        """Return the records of those of `numbers` that are committed."""
        records = self._readers.map(lambda number: self._read_record(job, number), numbers)
        return [record for record in records if record]

    def _read_record(self, job: JobId, number: int) -> Round | None:
        try:
            return Round.from_json(load_json(self._store, layout.round_record(job, number)))
        except NotFound:
            return None

    def _select_opened(self, job: JobId, numbers: Sequence[int]) -> list[int]:
        """Return those of `numbers` that were opened: some servers go on naming a deleted job's folders for a while."""
        opened = self._readers.map(lambda number: self._has_opening(job, number), numbers)
        return [number for number, is_opened in zip(numbers, opened, strict=True) if is_opened]

    def _has_opening(self, job: JobId, number: int) -> bool:
        try:
            self._store.stat(layout.opening(job, number))
        except NotFound:
            return False
        return True


def newest_before(numbers: Iterable[int], limit: int) -> int | None:
    """Return the largest of `numbers` that is below `limit`, or None."""
    return max((number for number in numbers if number < limit), default=None)


def _participations(records: Iterable[Round]) -> dict[ClientId, list[int]]:
    participations: dict[ClientId, list[int]] = {}
    for record in records:
        for member in record.members:
            participations.setdefault(member.client, []).append(record.number)
    return participations
