"""Gets slices from the cache, and the missing ones from the store by parallel range reads into their final place."""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from threading import Lock
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from flstore_core import buffers, layout
from flstore_core.cache import Cache
from flstore_core.errors import InsufficientCapacity, InvalidParameters, NotFound
from flstore_core.flat import FlatView
from flstore_core.ids import ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Prefetch, Request
from flstore_core.records import Job, Member
from flstore_core.schema import ITEMSIZE, Run
from flstore_core.shard.protocol import MemberRef, SliceRef, Work
from flstore_core.storage import ObjectStore, read_many
from flstore_core.storage.documents import load_json

FETCH_WORKERS = 4
"""Range reads in flight at once for one request."""

PIECE_BYTES = 32 * 2**20
"""Memory for what statistics fetch beside the cache, at one time."""

_WIDEST = max(ITEMSIZE.values())

Piece = tuple[tuple[int, int], list[FlatView]]
"""Flat elements [start, stop), and a view that covers them of each model asked for."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The packed bytes of one slice of one model, and whose they are."""

    part: SliceRef
    member: MemberRef
    data: NDArray[np.uint8]

    @property
    def nbytes(self) -> int:
        return self.data.nbytes


@dataclass(slots=True)
class _Jobs:
    """Jobs read from the store, by name; re-read when a request knows another schema than we do."""

    store: ObjectStore
    known: dict[JobId, Job] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)

    def get(self, job: JobId, digest: str | None = None) -> Job:
        with self.lock:
            found = self.known.get(job)
            if found is None or (digest is not None and found.schema.digest != digest):
                found = self.known[job] = Job.from_json(load_json(self.store, layout.job(job)))
            if digest is not None and found.schema.digest != digest:
                raise InvalidParameters(f"job {job!r} has another schema than the request expects")
            return found

    def forget(self, job: JobId) -> None:
        with self.lock:
            self.known.pop(job, None)


class Loader:
    """Reads slices through the cache."""

    def __init__(self, store: ObjectStore, cache: Cache[Slice]) -> None:
        self._store = store
        self._cache = cache
        self.jobs = _Jobs(store)

    def runs(self, part: SliceRef) -> tuple[Run, ...]:
        """Return the runs a slice is packed from."""
        schema = self.jobs.get(part.job, part.digest).schema
        return schema.runs(*part.bounds(schema))

    def load(
        self, part: SliceRef, members: Sequence[MemberRef], workload: str, pattern: Pattern
    ) -> tuple[list[FlatView], Work, Sequence[Prefetch]]:
        """Return each member's slice, counted as one request of the cache.

        Returns:
            Views in the order of `members`, what it took, and what the policy wants fetched next.

        Raises:
            InsufficientCapacity: if the members' slices together are larger than the cache.
            NotFound: if a member is not in the store.
        """
        runs = self.runs(part)
        self._check_budget(part, len(members), sum(run.nbytes for run in runs))
        keys = {member.key(part): member for member in members}
        for member in members:
            self.cached(part, member)
        lookup = self._cache.request(Request(part.job, workload, pattern, tuple(keys)))
        started = perf_counter()
        missing = {key: keys[key] for key in lookup.access.missing}
        fetched = self._fetch(part, missing, runs)
        work = Work(
            hits=len(lookup.values),
            misses=len(missing),
            bytes_touched=sum(value.nbytes for value in (*lookup.values.values(), *fetched.values())),
            bytes_fetched=sum(value.nbytes for value in fetched.values()),
            fetch_s=perf_counter() - started,
        )
        self._cache.fill(fetched, Cause.DEMAND, pattern)
        found = {**lookup.values, **fetched}
        return [FlatView(found[member.key(part)].data, runs) for member in members], work, lookup.access.prefetches

    def pieces(
        self, part: SliceRef, members: Sequence[MemberRef], stored: Container[MemberRef]
    ) -> Iterator[Piece] | None:
        """Return a slice of `members` piece by piece, so that fetching those not cached takes little memory.

        Counts no request: what statistics read is no user's access pattern.

        Args:
            stored: the members that the store is known to have.

        Returns:
            Pairs of flat elements [start, stop) and a view of each member that covers them; None if a member that may
            not be stored is not cached either.
        """
        held = {member: found for member in members if (found := self.cached(part, member))}
        missing = [member for member in members if member not in held]
        if not all(member in stored for member in missing):
            return None
        return self._read_pieces(part, members, held, missing)

    def _read_pieces(
        self, part: SliceRef, members: Sequence[MemberRef], held: Mapping[MemberRef, Slice], missing: list[MemberRef]
    ) -> Iterator[Piece]:
        runs = self.runs(part)
        start, stop = part.bounds(self.jobs.get(part.job, part.digest).schema)
        views = {member: FlatView(found.data, runs) for member, found in held.items()}
        keys = {member.key(part): member for member in missing}
        step = max(1, PIECE_BYTES // (_WIDEST * len(missing))) if missing else stop - start
        for first in range(start, stop, step):
            bounds = first, min(first + step, stop)
            clipped = [piece for run in runs if (piece := run.clip(*bounds))]
            fetched = self._fetch(part, keys, clipped).values()
            views |= {found.member: FlatView(found.data, clipped) for found in fetched}
            yield bounds, [views[member] for member in members]

    def prefetch(self, part: SliceRef, key: Key, pattern: Pattern, member: MemberRef | None = None) -> None:
        """Fetch a slice before anyone asks for it, unless it is there; pass over one that is not stored.

        Args:
            pattern: what it is expected to serve.
            member: where it lies, if that is known.
        """
        if self._cache.get(key) is not None:
            return
        try:
            fetched = self._fetch(part, {key: member or self.locate(key)}, self.runs(part))
        except NotFound:
            return
        self._cache.fill(fetched, Cause.PREFETCH, pattern)

    def locate(self, key: Key) -> MemberRef:
        """Return where a key's model lies; raise `NotFound` if it is not stored."""
        record = load_json(self._store, layout.member(JobId(key.job), key.round, ClientId(key.client)))
        return MemberRef.of(key.round, Member.from_json(record))

    def _check_budget(self, part: SliceRef, count: int, nbytes: int) -> None:
        if count * nbytes > self._cache.budget:
            raise InsufficientCapacity(
                f"{count} slices of {nbytes} bytes do not fit into the shard's {self._cache.budget}; "
                f"cut job {part.job!r} into more than {part.slices} slice(s), or raise the shards' cache"
            )

    def cached(self, part: SliceRef, member: MemberRef) -> Slice | None:
        """Return a cached slice of these very bytes.

        Others are discarded: those of an upload that was not acknowledged and came again, and those of another cut of
        the job.
        """
        key = member.key(part)
        value = self._cache.get(key)
        if value is not None and (value.member.sha256 != member.sha256 or value.part != part):
            self._cache.discard(key)
            return None
        return value

    def _fetch(self, part: SliceRef, missing: Mapping[Key, MemberRef], runs: Sequence[Run]) -> dict[Key, Slice]:
        nbytes = sum(run.nbytes for run in runs)
        fetched: dict[Key, Slice] = {}
        reads: list[tuple[str, int, memoryview]] = []
        for key, member in missing.items():
            data = buffers.empty(nbytes, np.uint8)
            fetched[key] = Slice(part, member, data)
            name = layout.tensors(JobId(key.job), key.round, ClientId(key.client))
            offset = 0
            for run in runs:
                reads.append((name, member.data_offset + run.offset, data[offset : offset + run.nbytes].data))
                offset += run.nbytes
        read_many(self._store, reads, workers=FETCH_WORKERS)
        return fetched
