"""Reads records: the member records of updates and aggregates, and the records and statistics of committed rounds.

Which member records there are is asked of the store each time, because an open round changes, and those that changed
are read (`services.gateway.rounds.places`). A committed round has two small objects, its record and its statistics.
Both are read through a byte-bounded cache, which the catalog empties when a job was deleted or a client erased from it
(`services.gateway.rounds.index`).
"""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from operator import attrgetter

from flstore_core import layout
from flstore_core.cache import Cache
from flstore_core.errors import NotFound, without_base
from flstore_core.ids import AGGREGATE, METADATA, NUMBERS, STATISTICS, ClientId, Home
from flstore_core.overviews import RoundNumbers
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Request
from flstore_core.records import Job, Member, Round, to_bytes
from flstore_core.shard.protocol import MemberRef, Work
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectInfo, ObjectStore
from flstore_core.storage.documents import parse_json
from services.gateway.rounds.places import Place, Places
from services.gateway.rounds.settlement import Settlement

RoundAndStatistics = tuple[Round, RoundStatistics | None]


@dataclass(frozen=True, slots=True)
class Document:
    """A committed round's record, statistics or numbers, and its size in bytes: in the store, or numbers' in memory."""

    value: Round | RoundStatistics | RoundNumbers | None
    """None if these are the statistics of a round that has none."""
    nbytes: int


_NO_STATISTICS = Document(None, 1)
"""Its size is one byte, because a cache cannot hold objects of no size."""


class Records:
    """Reads records. Safe to share between threads.

    Attributes:
        cache: holds the documents of committed rounds, under the home of their job.
        readers: threads that read from the store.
    """

    def __init__(self, store: ObjectStore, cache: Cache[Document], readers: Executor) -> None:
        self._store = store
        self._settlement = Settlement(store)
        self._places = Places()
        self.cache = cache
        self.readers = readers
        self._forgotten: dict[Home, int] = {}
        self._count = itertools.count(1)

    def forget(self, home: Home) -> None:
        """Drop what is cached of a job's generation, and what is being read of it at this moment."""
        self._forgotten[home] = next(self._count)
        self.cache.discard_job(home)
        self._places.forget(home)

    @contextmanager
    def current(self, job: Job) -> Iterator[None]:
        """Let the block read from the store and fill the cache; if the job is forgotten meanwhile, drop it again.

        Who reads a record, stalls, and fills the cache after the record has been forgotten would bring an erased client
        back, for good. Here too both leave a mark before they look: `forget` counts and then discards, and the block
        fills and then looks at the count. One of the two is sure to discard.
        """
        before = self._forgotten.get(job.home)
        yield
        if self._forgotten.get(job.home) != before:
            self.cache.discard_job(job.home)

    def read_members(self, job: Job, number: int) -> tuple[Member, ...]:
        """Return the member records of a round's updates as the store has them now, sorted by client."""
        return tuple(place.member for place in self.read_places(job, number) if place.member)

    def read_places(self, job: Job, number: int) -> list[Place]:
        """Return the places of a round's updates as the store has them now, sorted by client."""
        listed = self._list(job, number)
        places = {client: self._places.find(info.key, info.etag) for client, info in listed.items()}
        changed = [client for client, place in places.items() if place is None]
        read = dict(zip(changed, self.readers.map(partial(self.read_place, job, number), changed), strict=True))
        return [place or read[client] for client, place in places.items()]

    def is_empty(self, job: Job, number: int) -> bool:
        """Say whether an open round has neither updates nor an aggregate. Reads no more than it takes to know."""
        if self.read_member(job, number, AGGREGATE):
            return False
        return not any(self.read_member(job, number, client) for client in self._list(job, number))

    def _list(self, job: Job, number: int) -> dict[ClientId, ObjectInfo]:
        """Return the clients in whose places something lies, sorted, with what a listing says of it."""
        prefix, suffix = layout.clients_prefix(job.home, number), ".json"
        infos = [info for info in self._store.list(prefix) if info.key.endswith(suffix)]
        return {ClientId(info.key[len(prefix) : -len(suffix)]): info for info in sorted(infos, key=attrgetter("key"))}

    def read_place(self, job: Job, number: int, client: ClientId) -> Place:
        """Return what lies in the place of a member record. The aggregate goes by the client name `AGGREGATE`."""
        key = layout.member(job.home, number, client)
        try:
            body, info = self._store.get_with_info(key)
        except NotFound:
            return Place(client)
        return self._note(key, client, body, info.etag)

    def write_member(self, job: Job, number: int, member: Member, before: str | None) -> None:
        """Write a member record in its place.

        Args:
            before: the etag of what lies there now; None if that is nothing.

        Raises:
            PreconditionFailed: if it is something else.
        """
        key, body = layout.member(job.home, number, member.client), to_bytes(member.to_json())
        info = self._store.put(key, body, if_none_match=before is None, if_match=before)
        self._note(key, member.client, body, info.etag)

    def _note(self, key: str, client: ClientId, body: bytes, etag: str) -> Place:
        place = Place(client, Member.from_place(parse_json(key, body)), etag)
        self._places.note(key, place, len(body))
        return place

    def read_member(self, job: Job, number: int, client: ClientId) -> Member | None:
        """Return the member record of an update, or None. The aggregate goes by the client name `AGGREGATE`."""
        return self.read_place(job, number, client).member

    def locate_base(self, job: Job, record: Round) -> MemberRef | None:
        """Return a reference to the model that a round's deltas are taken against; None if that is zero."""
        return None if record.base is None else self.locate_aggregate(job, record.base)

    def require_base(self, job: Job, record: Round) -> MemberRef:
        """Return a reference to the model to add a round's differences to; raise `NotEnoughData` if there is none."""
        if base := self.locate_base(job, record):
            return base
        raise without_base(job.id, record.number)

    def locate_aggregate(self, job: Job, number: int) -> MemberRef:
        """Return a reference to a round's aggregate; raise `NotFound` if the round has none."""
        record = self.read_record(job, number)
        aggregate = record.aggregate if record else self.read_member(job, number, AGGREGATE)
        if aggregate is None:
            raise NotFound(f"round {number} of job {job.id!r} has no aggregate")
        return MemberRef.of(number, aggregate)

    def read_record(self, job: Job, number: int) -> Round | None:
        """Return a committed round's record, or None if the round is not committed.

        In the cache's figures this is no request: hits and misses are those of questions.
        """
        key = _record_key(job, number)
        document = self.cache.get(key)
        if document is None:
            try:
                with self.current(job):
                    document = self._load(key)
                    self.cache.fill({key: document}, Cause.DEMAND, Pattern.P4)
            except NotFound:
                return None
        assert isinstance(document.value, Round)
        return document.value

    def find_record_now(self, job: Job, number: int) -> Round | None:
        """Return a round's record as the store has it now, or None. For acknowledgements: a cache may be old."""
        try:
            return self.read_record_now(job, number)
        except NotFound:
            return None

    def read_committed(
        self, job: Job, numbers: Sequence[int], workload: str, pattern: Pattern, *, statistics: bool
    ) -> tuple[list[RoundAndStatistics], Work]:
        """Return the records of committed rounds, with their statistics if asked. The cache counts one request.

        Args:
            workload, pattern: what asks; the cache's policy decides by these what to keep.
            statistics: whether to read statistics too. If not, None stands in their place.

        Returns:
            The record and statistics of each of `numbers`, in their order, and the work that reading them took.

        Raises:
            NotFound: if one of the rounds is not committed.
        """
        keys = tuple(_keys(job, numbers, statistics))
        lookup = self.cache.request(Request(job.home, workload, pattern, keys))
        missing = lookup.access.missing
        with self.current(job):
            loaded = dict(zip(missing, self.readers.map(self._load, missing), strict=True))
            self.cache.fill(loaded, Cause.DEMAND, pattern)
        documents = lookup.values | loaded
        work = Work(
            hits=len(lookup.values),
            misses=len(missing),
            bytes_touched=sum(document.nbytes for document in documents.values()),
            bytes_fetched=sum(document.nbytes for document in loaded.values()),
        )
        return [_pair(documents, job, number) for number in numbers], work

    def read_numbers(self, job: Job, numbers: Sequence[int]) -> list[RoundNumbers]:
        """Return the numbers of committed rounds, in the order of `numbers`; raise `NotFound` if one is not committed.

        The record of each round is read once and not kept: that of a thousand clients takes ten times as much memory.
        In the cache's figures this is no request.
        """
        cached = {number: self.cache.get(_numbers_key(job, number)) for number in numbers}
        missing = [number for number, document in cached.items() if document is None]
        with self.current(job):
            loaded = dict(zip(missing, self.readers.map(partial(self._load_numbers, job), missing), strict=True))
            documents = {_numbers_key(job, number): document for number, document in loaded.items()}
            self.cache.fill(documents, Cause.DEMAND, Pattern.P4)
        return [_numbers_in(cached[number] or loaded[number]) for number in numbers]

    def read_statistics(self, job: Job, number: int) -> tuple[RoundStatistics | None, str | None]:
        """Return a round's statistics as the store has them now, and the etag of what lies there.

        The statistics are None if nothing lies there, or something that was damaged.
        """
        try:
            body, info = self._store.get_with_info(layout.statistics(job.home, number))
        except NotFound:
            return None, None
        return RoundStatistics.from_stored(body), info.etag

    def read_record_now(self, job: Job, number: int) -> Round:
        """Return a committed round's record as the store has it now; raise `NotFound` if it is not committed."""
        return self._settlement.read(job.home, number)

    def remember(self, job: Job, record: Round, statistics: RoundStatistics | None) -> None:
        """Put a committed round's record and statistics into the cache. Call it within `current`."""
        document = Document(record, len(to_bytes(record.to_json())))
        self.cache.ingest(_record_key(job, record.number), document)
        self.remember_statistics(job, record, statistics)

    def remember_statistics(self, job: Job, record: Round, statistics: RoundStatistics | None) -> None:
        """Put a committed round's statistics into the cache. Readers compare their members with the record's."""
        document = Document(statistics, statistics.nbytes) if statistics else _NO_STATISTICS
        key = _statistics_key(job, record.number)
        self.cache.discard(key)  # a cache keeps the first of two values
        self.cache.ingest(key, document)

    def _load_numbers(self, job: Job, number: int) -> Document:
        document = self.cache.get(_record_key(job, number))
        record = document.value if document else self._settlement.read(job.home, number)
        assert isinstance(record, Round)
        numbers = RoundNumbers.of(record)
        return Document(numbers, numbers.nbytes)

    def _load(self, key: Key) -> Document:
        home, number = Home(key.job), key.round
        if key.client == METADATA:
            record = self._settlement.read(home, number)
            return Document(record, len(to_bytes(record.to_json())))
        try:
            body = self._store.get(layout.statistics(home, number))
        except NotFound:
            return _NO_STATISTICS
        statistics = RoundStatistics.from_stored(body)
        return Document(statistics, len(body)) if statistics else _NO_STATISTICS


def _record_key(job: Job, number: int) -> Key:
    return Key(job.home, number, METADATA)


def _statistics_key(job: Job, number: int) -> Key:
    return Key(job.home, number, STATISTICS)


def _numbers_key(job: Job, number: int) -> Key:
    return Key(job.home, number, NUMBERS)


def _numbers_in(document: Document) -> RoundNumbers:
    assert isinstance(document.value, RoundNumbers)
    return document.value


def _keys(job: Job, numbers: Sequence[int], statistics: bool) -> Iterable[Key]:
    for number in numbers:
        yield _record_key(job, number)
        if statistics:
            yield _statistics_key(job, number)


def _pair(documents: Mapping[Key, Document], job: Job, number: int) -> RoundAndStatistics:
    record = documents[_record_key(job, number)].value
    statistics = documents.get(_statistics_key(job, number))
    assert isinstance(record, Round)
    return record, statistics.value if statistics and isinstance(statistics.value, RoundStatistics) else None
