"""Rounds as they are stored: the base an open one is fixed to, its members so far, and records of committed ones."""

from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Any

from flstore_core import layout
from flstore_core.cache import Cache
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.ids import AGGREGATE, METADATA, ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Request, Why
from flstore_core.records import Job, Member, Round, to_bytes
from flstore_core.shard.protocol import MemberRef, Work
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from services.gateway.rounds.index import Catalog, newest_before

RECORD, STATISTICS = 0, 1
"""Which of a round's two small objects a cache key means, told by its slice."""


@dataclass(frozen=True, slots=True)
class Document:
    """A small immutable object of a committed round, with the size it has in the store."""

    value: Round | RoundStatistics | None
    """None stands for statistics that a round does not have."""
    nbytes: int


@dataclass(frozen=True, slots=True)
class Opening:
    """What the first thing put into a round fixed."""

    base: int | None
    closing: bool = False
    """A commit has begun: what arrives now may come too late."""

    def to_json(self) -> dict[str, Any]:
        return {"base": self.base, "closing": self.closing}


class Rounds:
    """Reads rounds, through a byte-bounded cache of their records and statistics."""

    def __init__(self, store: ObjectStore, catalog: Catalog, cache: Cache[Document], readers: Executor) -> None:
        self._store = store
        self._catalog = catalog
        self.cache = cache
        self._readers = readers

    def opening(self, job: Job, number: int) -> Opening:
        """Return how a round was opened, opening it if it was not.

        Its base is the newest earlier round that has an aggregate.
        """
        found = self._read_opening(job.id, number)
        if found is None:
            found = Opening(self._find_base(job.id, number))
            try:
                self._store.put(layout.opening(job.id, number), to_bytes(found.to_json()), if_none_match=True)
            except PreconditionFailed:
                return self.opening(job, number)
            self._catalog.opened(job.id, number)
        return found

    def is_closing(self, job: JobId, number: int) -> bool:
        """Say whether a commit of the round has begun or is done; raise `NotFound` if there is no such round."""
        found = self._read_opening(job, number)
        if found is None:
            raise NotFound(f"round {number} of job {job!r} is gone")
        return found.closing

    def close(self, job: JobId, number: int, opening: Opening) -> None:
        """Begin to commit: whoever stores an update from now on learns that it may be too late."""
        self._store.put(layout.opening(job, number), to_bytes(Opening(opening.base, closing=True).to_json()))

    def current(self, job: Job, number: int) -> Round:
        """Return an open round as the store has it now."""
        opening = self.opening(job, number)
        return Round(number, opening.base, self.members(job.id, number), self.member(job.id, number, AGGREGATE))

    def members(self, job: JobId, number: int) -> tuple[Member, ...]:
        """Return the clients' records that a round has now, by name."""
        suffix = ".json"
        names = [info.key.rpartition("/")[2] for info in self._store.list(layout.clients_prefix(job, number))]
        clients = sorted(name.removesuffix(suffix) for name in names if name.endswith(suffix))
        found = self._readers.map(lambda client: self.member(job, number, ClientId(client)), clients)
        return tuple(member for member in found if member)

    def member(self, job: JobId, number: int, client: ClientId) -> Member | None:
        """Return the record of a stored update or aggregate, or None."""
        try:
            return Member.from_json(load_json(self._store, layout.member(job, number, client)))
        except NotFound:
            return None

    def base_of(self, job: JobId, record: Round) -> MemberRef | None:
        """Return the model that a round's deltas are taken against."""
        return None if record.base is None else self.aggregate_of(job, record.base)

    def aggregate_of(self, job: JobId, number: int) -> MemberRef:
        """Return where a round's aggregate lies; raise `NotFound` if it has none."""
        record = self.record(job, number)
        found = record.aggregate if record else self.member(job, number, AGGREGATE)
        if found is None:
            raise NotFound(f"round {number} of job {job!r} has no aggregate")
        return MemberRef.of(number, found)

    def record(self, job: JobId, number: int) -> Round | None:
        """Return a committed round's record without counting a request, or None if the round is not committed."""
        cached = self.cache.get(Key(job, number, METADATA, RECORD))
        if cached is None:
            try:
                cached = self._load(job, number, RECORD)
            except NotFound:
                return None
            self.cache.fill({Key(job, number, METADATA, RECORD): cached}, Why.DEMAND, Pattern.P4)
        assert isinstance(cached.value, Round)
        return cached.value

    def read(
        self, job: JobId, numbers: Sequence[int], workload: str, pattern: Pattern, *, statistics: bool
    ) -> tuple[list[tuple[Round, RoundStatistics | None]], Work]:
        """Return committed rounds' records, with their statistics if wanted, counted as one request of the cache."""
        parts = (RECORD, STATISTICS) if statistics else (RECORD,)
        keys = tuple(Key(job, number, METADATA, part) for number in numbers for part in parts)
        lookup = self.cache.request(Request(job, workload, pattern, keys))
        missing = lookup.access.missing
        found = {**lookup.values}
        found |= zip(
            missing, self._readers.map(lambda key: self._load(job, key.round, key.slice), missing), strict=True
        )
        self.cache.fill({key: found[key] for key in missing}, Why.DEMAND, pattern)
        fetched = sum(found[key].nbytes for key in missing)
        touched = sum(document.nbytes for document in found.values())
        work = Work(hits=len(lookup.values), misses=len(missing), bytes_touched=touched, bytes_fetched=fetched)
        return [_pair(found, job, number) for number in numbers], work

    def remember(self, job: JobId, record: Round, statistics: RoundStatistics | None) -> None:
        """Cache a round that has just been committed."""
        self.cache.ingest(Key(job, record.number, METADATA, RECORD), Document(record, len(to_bytes(record.to_json()))))
        nbytes = statistics.nbytes if statistics else 1
        self.cache.ingest(Key(job, record.number, METADATA, STATISTICS), Document(statistics, nbytes))

    def _load(self, job: JobId, number: int, part: int) -> Document:
        if part == RECORD:
            record = load_json(self._store, layout.round_record(job, number))
            return Document(Round.from_json(record), len(to_bytes(record)))
        try:
            body = self._store.get(layout.statistics(job, number))
        except NotFound:
            return Document(None, 1)
        return Document(RoundStatistics.from_bytes(body), len(body))

    def _read_opening(self, job: JobId, number: int) -> Opening | None:
        try:
            return Opening(**load_json(self._store, layout.opening(job, number)))
        except NotFound:
            return None

    def _find_base(self, job: JobId, number: int) -> int | None:
        index = self._catalog.refresh(job)
        for earlier in sorted((n for n in index.open if n < number), reverse=True):
            if self.member(job, earlier, AGGREGATE):
                return max(earlier, newest_before(index.with_aggregate, number) or 0)
        return newest_before(index.with_aggregate, number)


def _pair(found: dict[Key, Document], job: JobId, number: int) -> tuple[Round, RoundStatistics | None]:
    record = found[Key(job, number, METADATA, RECORD)].value
    statistics = found.get(Key(job, number, METADATA, STATISTICS))
    assert isinstance(record, Round)
    return record, statistics.value if statistics and isinstance(statistics.value, RoundStatistics) else None
