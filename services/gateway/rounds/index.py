"""The catalog: which jobs exist, which rounds each has, and which clients took part. A cache of what the store says.

**Why a cache is possible.** A committed round never changes, so its record is read once. Afterwards only three things
can happen to a job: it gets more rounds, a client is erased from it, or it is deleted (and perhaps created again). Any
gateway may do each of these. Gateways do not talk to each other, so each has to look at the store to learn of it.

**How a gateway looks.** `Catalog.refresh` reads, in this order:

1. The job's record. If it has another generation or none, the job that the cache knows is gone.
2. The etags of the job's tombstones. An erasure rewrites the records of committed rounds. It writes a tombstone before
   it does so, and writes it again afterwards. If the etags have changed, cached records may be wrong.
3. The names of the round folders. Each round that the cache does not know as committed is looked at: it may have been
   committed by now, or be open.

If step 1 or 2 found a change, everything cached about the job is dropped and read again; `outdated` is called, so that
the cache of records does the same. Otherwise only the few rounds of step 3 are read. The first look at a job reads the
record of every round, many at a time.

**When a gateway looks.** An index is used for `refresh_seconds`. The next reader after that starts a refresh and waits
for it. If that takes longer than `REFRESH_WAIT_SECONDS`, the reader gets the old index. A caller that does not find a
round or client in the index calls `refresh` before it reports that there is none. So everything that one gateway has
acknowledged is found through any other at once. Only listings can be up to `refresh_seconds` old.

Example, with `refresh_seconds` = 1: gateway B looks at 0.0 s. Gateway A commits round 7 at 0.4 s. At 0.5 s B still
lists rounds 0 to 6, but a request that names round 7 is answered: B does not find it, refreshes and then does. From
1.0 s on B lists round 7 too.

**Indices are snapshots.** A `JobIndex` never changes. Every change makes a new one, which replaces the old one under
the lock, so a reader can iterate over its index while another thread commits a round.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Executor, Future
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property
from threading import Lock

from flstore_core import layout
from flstore_core.errors import NewerFormat, NotFound, StoreUnavailable, Unavailable, unknown
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, Home, JobId
from flstore_core.records import WITHDRAWN, Job, Round
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from services.common.timing import Time
from services.gateway.rounds.settlement import Settlement
from services.gateway.threads import Pools

REFRESH_WAIT_SECONDS = 0.5
"""Seconds after the start of a refresh at which a reader stops waiting for it and takes the old index."""

LOOK_POLL_SECONDS = 0.02
"""Seconds between two checks whether another thread's first look at a job has ended."""

RECORDS_AT_ONCE = 512
"""Round records that a look holds in memory at once; a job may have tens of thousands of rounds."""


@dataclass(frozen=True)
class JobIndex:
    """A job and its rounds at one moment. Implements `flstore_core.workloads.RoundIndex`."""

    job: Job
    committed: Sequence[int] = ()
    """Ascending."""
    open: Sequence[int] = ()
    """Ascending."""
    aggregates: Mapping[int, str] = field(default_factory=dict)
    """SHA-256 of the aggregate of each committed round that has one, ascending by round."""
    participations: Mapping[ClientId, Sequence[int]] = field(default_factory=dict)
    """Committed rounds by client, ascending."""
    erasures: frozenset[str] = frozenset()
    """Keys and etags of the job's tombstones: every erasure changes them."""
    read_at: float = 0.0
    """Monotonic time in seconds at which the gateway began to read it."""

    @cached_property
    def with_aggregate(self) -> Sequence[int]:
        """Committed rounds that have an aggregate, ascending."""
        return [*self.aggregates]

    def is_committed(self, number: int) -> bool:
        """Say whether a round is committed. Takes the same time in a job of many rounds."""
        place = bisect_left(self.committed, number)
        return place < len(self.committed) and self.committed[place] == number

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
        """Return the index with one more open round, or the index itself if it has the round already."""
        if number in self.open or self.is_committed(number):
            return self
        return replace(self, open=sorted([*self.open, number]))

    def with_committed(self, records: Iterable[Round]) -> "JobIndex":
        """Return the index with these committed rounds added. A committed round that it has already stays as it is."""
        by_number = {record.number: record for record in records}
        aggregates = {number: record.aggregate.sha256 for number, record in by_number.items() if record.aggregate}
        return self.joined(
            JobIndex(self.job, [*by_number], (), aggregates, _participations(by_number.values())),
        )

    def joined(self, other: "JobIndex") -> "JobIndex":
        """Return the index with another one's committed rounds added, as `with_committed`."""
        new = frozenset(other.committed).difference(self.committed)
        if not new:
            return self
        participations = {}
        for client, numbers in other.participations.items():
            if more := [number for number in numbers if number in new]:
                participations[client] = sorted([*self.participations.get(client, ()), *more])
        return replace(
            self,
            committed=sorted([*self.committed, *new]),
            open=[number for number in self.open if number not in new],
            aggregates=dict(sorted([*self.aggregates.items(), *(o for o in other.aggregates.items() if o[0] in new)])),
            participations={**self.participations, **participations},
        )

    def is_outdated(self, job: Job, erasures: frozenset[str]) -> bool:
        """Say whether the job was replaced or a client erased since the index was read."""
        return not self.job.is_same(job) or self.erasures != erasures


class ErasedMeanwhile(Unavailable):
    """A client was erased after the rounds of a question were read. Asked again, it is answered without the client."""

    def __init__(self, job: JobId) -> None:
        super().__init__(f"a client was erased from job {job!r} while the question was answered; ask again")


class UnknownJob(NotFound):
    """A job does not exist. What to suggest depends on the caller's token, so `services.gateway.app` adds them."""

    def __init__(self, job: JobId) -> None:
        super().__init__(f"job {job!r} does not exist")
        self.job = job


class Catalog:
    """Jobs and their indices. Safe to share between threads.

    Args:
        pools: `refreshers` run refreshes, and these read through `readers`.
        refresh_seconds: age up to which an index is used without a look at the store.
        outdated: called with a job's home when nothing that was read about the job holds any more.
    """

    def __init__(
        self,
        store: ObjectStore,
        pools: Pools,
        time: Time,
        refresh_seconds: float,
        outdated: Callable[[Home], object],
    ) -> None:
        self._store = store
        self._generations = Generations(store)
        self._settlement = Settlement(store)
        self._readers: Executor = pools.readers
        self._refreshers: Executor = pools.refreshers
        self._time = time
        self._refresh_seconds = refresh_seconds
        self._outdated = outdated
        self._indices: dict[JobId, JobIndex] = {}
        self._refreshes: dict[JobId, tuple[float, Future[JobIndex]]] = {}
        """The newest refresh that a reader started, and the monotonic time of its start."""
        self._first_looks: dict[JobId, Future[JobIndex]] = {}
        """First looks that are under way."""
        self._lock = Lock()

    def list_names(self) -> list[JobId]:
        """Return the sorted names of all jobs, those of deleted jobs included."""
        return sorted(JobId(name) for name in self._store.folders("jobs"))

    def read_indices(self, names: Iterable[JobId]) -> list[JobIndex]:
        """Return the index of each job in `names`, leaving out those that do not exist or are of a later version."""
        indices = []
        for name in names:
            with suppress(NotFound, NewerFormat):
                indices.append(self.read_index(name))
        return indices

    def read_job(self, job: JobId) -> Job:
        """Return a job. Reads and raises as `read_index`."""
        return self.read_index(job).job

    def read_index(self, job: JobId) -> JobIndex:
        """Return a job's index, which is at most `refresh_seconds` old as long as the store answers.

        The first call for a job reads the record of every round. Other calls meanwhile wait for its result.

        Raises:
            UnknownJob: if there is no such job.
        """
        with self._lock:
            index = self._indices.get(job)
        if index is None:
            return self._look_first(job) or self._look(job)
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
        """Look at the store and return the job's index as of now; raise `UnknownJob` if there is no such job."""
        # A first look may have read its lists before this call, so its result alone would not be news. But it saves
        # the look below from reading the record of every round once more.
        if job in self._first_looks:
            self._look_first(job)
        return self._look(job)

    def _look_first(self, job: JobId) -> JobIndex | None:
        """Look at a job for the first time, or wait for the first look that is under way.

        Returns:
            None if another thread's look found no such job. The job may have been created since, so look again.
        """
        with self._lock:
            look = self._first_looks.get(job)
            if look is None:
                mine = self._first_looks[job] = Future()
        if look is not None:
            while not look.done():
                self._time.sleep(LOOK_POLL_SECONDS)
            return None if isinstance(look.exception(), NotFound) else look.result()
        try:
            index = self._look(job)
            mine.set_result(index)
        except BaseException as error:
            mine.set_exception(error)
            raise
        finally:
            with self._lock:
                del self._first_looks[job]
        return index

    def _look(self, job: JobId) -> JobIndex:
        read_at = self._time.monotonic()  # the age of an index counts from the first read, not from the last
        job_record, erasures = self._read_job_record(job), self._read_erasures(job)
        before = self._start_from(job_record, erasures)
        new = self._list_rounds(job_record) - set(before.committed)
        committed = self._read_committed(job_record, sorted(new))
        opened = self._select_opened(job_record, sorted(new.difference(committed.committed)))
        with self._lock:
            # Other threads may have noted commits and openings since `before`, which the lists above need not include.
            # So what was read is added to the index as it is now, unless that one describes an earlier job or erasure.
            current = self._indices.get(job)
            if current is None or current.is_outdated(job_record, erasures):
                current = before
            opened_meanwhile = set(current.open) - set(before.open)
            open_now = sorted({*opened, *opened_meanwhile} - set(current.committed))
            index = replace(current, open=open_now, read_at=read_at).joined(committed)
            self._indices[job] = index
        return index

    def require_no_erasure_since(self, job: Job, known: frozenset[str]) -> None:
        """Raise `ErasedMeanwhile` if a client was erased since an index with the `known` erasures was read."""
        for entry in self._read_erasures(job.id) - known:
            if WITHDRAWN not in load_json(self._store, entry.partition(" ")[0]):
                self.refresh(job.id)
                raise ErasedMeanwhile(job.id)

    def known_index(self, job: Job) -> JobIndex:
        """Return what is known of a job without a look at the store: nothing, if it was not looked at before."""
        index = self._indices.get(job.id)
        return index if index and index.job.is_same(job) else JobIndex(job)

    def newer_index(self, index: JobIndex) -> JobIndex:
        """Return an index that was read after `index`."""
        known = self._indices.get(index.job.id)
        return known if known and known.read_at > index.read_at else self.refresh(index.job.id)

    def note_commit(self, job: JobId, record: Round) -> None:
        """Learn of a round that was committed through this gateway."""
        with self._lock:
            if index := self._indices.get(job):
                self._indices[job] = index.with_committed([record])

    def note_opening(self, job: JobId, number: int) -> None:
        """Learn of a round that was opened through this gateway."""
        with self._lock:
            if index := self._indices.get(job):
                self._indices[job] = index.with_opened(number)

    def forget(self, job: JobId) -> None:
        """Drop everything that is cached about a job."""
        with self._lock:
            index = self._indices.pop(job, None)
        if index:
            self._outdated(index.job.home)

    def _await_refresh(self, job: JobId) -> JobIndex:
        """Return what the running refresh finds, and start one if none runs.

        Raises:
            TimeoutError: if it has not ended `REFRESH_WAIT_SECONDS` after its start.
        """
        with self._lock:
            since, refresh = self._refreshes.get(job, (0.0, None))
            if refresh is None or refresh.done():
                since, refresh = self._time.monotonic(), self._refreshers.submit(self.refresh, job)
                self._refreshes[job] = since, refresh
        return refresh.result(timeout=max(0.0, since + REFRESH_WAIT_SECONDS - self._time.monotonic()))

    def _call_fresh(self, job: JobId, index: JobIndex) -> None:
        """Use an old index for another `refresh_seconds`, so that not every reader waits for a store that is down."""
        with self._lock:
            if self._indices.get(job) is index:
                self._indices[job] = replace(index, read_at=self._time.monotonic())

    def _start_from(self, job: Job, erasures: frozenset[str]) -> JobIndex:
        """Return the cached index if it still holds. If not, drop all that is cached and return an empty index."""
        with self._lock:
            index = self._indices.get(job.id)
            if index and not index.is_outdated(job, erasures):
                return index
            # The cache of records goes by homes. The earlier index may be of an earlier job, which has another home.
            for home in {job.home, index.job.home if index else job.home}:
                self._outdated(home)
            return JobIndex(job, erasures=erasures)

    def _read_job_record(self, job: JobId) -> Job:
        try:
            return self._generations.read(job)
        except NotFound:
            self.forget(job)
            raise UnknownJob(job) from None

    def _read_erasures(self, job: JobId) -> frozenset[str]:
        return frozenset(f"{info.key} {info.etag}" for info in self._store.list(layout.audit_prefix(job)))

    def _list_rounds(self, job: Job) -> set[int]:
        return {int(name) for name in self._store.folders(layout.rounds_prefix(job.home)) if name.isdecimal()}

    def _read_committed(self, job: Job, numbers: Sequence[int]) -> JobIndex:
        """Return an index of those of `numbers` that are committed. At most `RECORDS_AT_ONCE` records are in memory."""
        committed = JobIndex(job)
        for first in range(0, len(numbers), RECORDS_AT_ONCE):
            part = numbers[first : first + RECORDS_AT_ONCE]
            records = self._readers.map(lambda number: self._read_record(job, number), part)
            committed = committed.with_committed(record for record in records if record)
        return committed

    def _read_record(self, job: Job, number: int) -> Round | None:
        try:
            return self._settlement.read(job.home, number)
        except NotFound:
            return None

    def _select_opened(self, job: Job, numbers: Sequence[int]) -> list[int]:
        """Return those of `numbers` that have an opening. Some stores still list the folders of a deleted job."""
        opened = self._readers.map(lambda number: self._has_opening(job, number), numbers)
        return [number for number, is_opened in zip(numbers, opened, strict=True) if is_opened]

    def _has_opening(self, job: Job, number: int) -> bool:
        try:
            self._store.stat(layout.opening(job.home, number))
        except NotFound:
            return False
        return True


def newest_before(numbers: Sequence[int], limit: int) -> int | None:
    """Return the largest of ascending `numbers` below `limit`, or None if there is none."""
    place = bisect_left(numbers, limit)
    return numbers[place - 1] if place else None


def _participations(records: Iterable[Round]) -> dict[ClientId, list[int]]:
    participations: dict[ClientId, list[int]] = {}
    for record in records:
        for member in record.members:
            participations.setdefault(member.client, []).append(record.number)
    return participations
