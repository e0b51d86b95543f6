"""Gets slices from the cache, and the missing ones from the store by parallel range reads into their final place.

A slice is a range of the flat parameter vector; in a file its bytes are one run, or several where the dtype changes.
Each run is one range read, straight into its place in the slice's packed buffer: nothing is copied afterwards.

Example: a job's model has a float64 tensor of 2 elements and a float32 tensor of 6, so 8 flat elements. Slice 0 of 2 is
elements 0 to 3: float64 elements 0 and 1, then float32 elements 0 and 1. For a file whose data section begins at
byte 200 that is read as

    bytes 200..216 of the file → bytes  0..16 of the buffer     two float64
    bytes 216..224 of the file → bytes 16..24 of the buffer     two float32

`load` serves workloads and counts a request of the cache. Where the slices of all models do not fit into the cache, it
gives a window of them (`flstore_core.shard.windows`): what is cached, as it lies there, and the rest by short reads,
which never enter the cache. `pieces` serves statistics: it counts no request, since statistics are no user's access
pattern, and what it must fetch it fetches in pieces that never enter the cache either.
"""

from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np
from numpy.typing import NDArray

from flstore_core import buffers, layout
from flstore_core.cache import Cache
from flstore_core.errors import InsufficientCapacity, InvalidParameters, NotFound
from flstore_core.flat import FlatView
from flstore_core.ids import ClientId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Cause, Key, Prefetch, Request
from flstore_core.records import Member
from flstore_core.schema import ITEMSIZE, Run
from flstore_core.shard.jobs import Jobs
from flstore_core.shard.protocol import MemberRef, SliceRef, Work
from flstore_core.shard.windows import MOST, Window, window_from
from flstore_core.storage import ObjectStore, Read, read_many
from flstore_core.storage.documents import load_json

FETCH_WORKERS = 4
"""Range reads in flight at once for one request."""

PIECE_BYTES = 32 * 2**20
"""Limit on the bytes fetched at once for statistics, outside the cache's budget."""

_WIDEST = max(ITEMSIZE.values())

Piece = tuple[tuple[int, int], list[FlatView]]
"""Flat elements [start, stop), and for each model a view that covers them."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The packed bytes of one slice of one model."""

    part: SliceRef
    member: MemberRef
    data: NDArray[np.uint8]
    """Shape (bytes of the slice,)."""

    @property
    def nbytes(self) -> int:
        return self.data.nbytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a workload's `map` reads."""

    views: list[FlatView]
    """One for each model asked for."""
    work: Work
    prefetches: Sequence[Prefetch]
    """What the policy wants fetched next."""
    window: Window | None = None
    """The elements that the views cover, if they are not the whole slice."""


class Loader:
    """Reads slices through the cache. Thread-safe."""

    def __init__(self, store: ObjectStore, cache: Cache[Slice]) -> None:
        self._store = store
        self._cache = cache
        self.jobs = Jobs(store)

    def runs(self, part: SliceRef) -> tuple[Run, ...]:
        """Return the runs that a slice is packed from."""
        schema = self.jobs.get(part.job, part.digest, part.generation).schema
        return schema.runs(*part.bounds(schema))

    def load(
        self,
        part: SliceRef,
        members: Sequence[MemberRef],
        workload: str,
        pattern: Pattern,
        start: int | None = None,
    ) -> Loaded:
        """Return each member's slice, counted as one request of the cache.

        Args:
            members: the models, in the order of the views.
            start: the flat element at which a window may begin, if the slices together are larger than the cache.

        Raises:
            InsufficientCapacity: if the members' slices together are larger than the cache, and no window is allowed
                or even windows do not fit.
            NotFound: if a member is not in the store.
        """
        runs = self.runs(part)
        keys = {member.key(part): member for member in members}
        if len(keys) * _nbytes(runs) > self._cache.budget:
            return self._load_window(part, members, Request(part.job, workload, pattern, tuple(keys)), start)
        for member in members:
            self.cached_or_discard(part, member)
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
        slices = {**lookup.values, **fetched}
        views = [FlatView(slices[member.key(part)].data, runs) for member in members]
        return Loaded(views, work, lookup.access.prefetches)

    def _load_window(self, part: SliceRef, members: Sequence[MemberRef], request: Request, start: int | None) -> Loaded:
        """Return a window of each member's slice. The first window counts as the request, and nothing is kept."""
        runs = self.runs(part)
        window = self._window(part, len(request.keys), start)
        clipped = _clip(runs, window.start, window.stop)
        cached = {member: value for member in members if (value := self.cached_or_discard(part, member))}
        missing = {member.key(part): member for member in members if member not in cached}
        prefetches = self._cache.request(request).access.prefetches if window.start == runs[0].start else ()
        started = perf_counter()
        fetched = self._fetch(part, missing, clipped)
        skipped, nbytes = _nbytes(_clip(runs, runs[0].start, window.start)), _nbytes(clipped)
        work = Work(
            hits=len(cached),
            misses=len(missing),
            bytes_touched=(len(cached) + len(missing)) * nbytes,
            bytes_fetched=len(missing) * nbytes,
            fetch_s=perf_counter() - started,
        )
        self._cache.bypass(work.bytes_fetched, request.pattern)
        data = {member: value.data[skipped : skipped + nbytes] for member, value in cached.items()}
        data |= {value.member: value.data for value in fetched.values()}
        return Loaded([FlatView(data[member], clipped) for member in members], work, prefetches, window)

    def pieces(
        self, part: SliceRef, members: Sequence[MemberRef], stored: Container[MemberRef]
    ) -> Iterator[Piece] | None:
        """Return a slice of `members` piece by piece, so that fetching what is not cached takes little memory.

        Args:
            stored: the members that the store is known to have.

        Returns:
            Pairs of flat elements [start, stop) and a view of each member that covers them. None if a member is neither
            cached nor known to be stored.
        """
        cached = {member: value for member in members if (value := self.cached_or_discard(part, member))}
        missing = [member for member in members if member not in cached]
        if not all(member in stored for member in missing):
            return None
        return self._read_pieces(part, members, cached, missing)

    def _read_pieces(
        self, part: SliceRef, members: Sequence[MemberRef], cached: Mapping[MemberRef, Slice], missing: list[MemberRef]
    ) -> Iterator[Piece]:
        runs = self.runs(part)
        start, stop = part.bounds(self.jobs.get(part.job, part.digest, part.generation).schema)
        views = {member: FlatView(value.data, runs) for member, value in cached.items()}
        keys = {member.key(part): member for member in missing}
        step = max(1, PIECE_BYTES // (_WIDEST * len(missing))) if missing else stop - start
        for first in range(start, stop, step):
            bounds = first, min(first + step, stop)
            clipped = _clip(runs, *bounds)
            fetched = self._fetch(part, keys, clipped).values()
            views |= {value.member: FlatView(value.data, clipped) for value in fetched}
            yield bounds, [views[member] for member in members]

    def prefetch(self, part: SliceRef, key: Key, pattern: Pattern, member: MemberRef | None = None) -> None:
        """Fetch a slice before anyone asks for it. Do nothing if it is cached already, or if the store lacks it.

        Args:
            pattern: the access pattern it is expected to serve.
            member: where it lies; read from the store's record if None.
        """
        if self._cache.get(key) is not None:
            return
        try:
            fetched = self._fetch(part, {key: member or self.locate(part, key)}, self.runs(part))
        except NotFound:
            return
        self._cache.fill(fetched, Cause.PREFETCH, pattern)

    def locate(self, part: SliceRef, key: Key) -> MemberRef:
        """Return where a key's model lies; raise `NotFound` if it is not stored."""
        record = load_json(self._store, layout.member(part.home, key.round, ClientId(key.client)))
        member = Member.from_place(record)
        if member is None:
            raise NotFound(f"{key.client!r} was removed from round {key.round}")
        return MemberRef.of(key.round, member)

    def cached_or_discard(self, part: SliceRef, member: MemberRef) -> Slice | None:
        """Return the cached slice if it has exactly these bytes, and discard one that has others.

        The cache may hold other bytes under the same key: those of an upload that was never acknowledged and was then
        sent again, or those of another cut of the job into slices.
        """
        key = member.key(part)
        value = self._cache.get(key)
        if value is not None and (value.member.sha256 != member.sha256 or value.part != part):
            self._cache.discard(key)
            return None
        return value

    def _window(self, part: SliceRef, models: int, start: int | None) -> Window:
        """Return the window that begins at `start`; raise `InsufficientCapacity` if none does, or none is wanted."""
        runs, budget = self.runs(part), self._cache.budget
        bounds = runs[0].start, runs[-1].start + runs[-1].count
        if start is not None:
            if not bounds[0] <= start < bounds[1]:
                raise InvalidParameters(f"start is {start}; the slice has the elements {bounds[0]} to {bounds[1] - 1}")
            widest = max(ITEMSIZE[run.dtype] for run in runs)
            if window := window_from(start, bounds, models * widest, budget):
                return window
        raise InsufficientCapacity(
            f"{models} slices of {_nbytes(runs)} bytes each do not fit into the shard's cache of {budget}"
            f"{'' if start is None else f', not even by {MOST} windows of an eighth of it'}; "
            f"cut job {part.job!r} into more than {part.slices} slice(s), or give shards a larger cache "
            "(FLSTORE_CACHE_BYTES)"
        )

    def _fetch(self, part: SliceRef, missing: Mapping[Key, MemberRef], runs: Sequence[Run]) -> dict[Key, Slice]:
        nbytes = _nbytes(runs)
        fetched: dict[Key, Slice] = {}
        reads: list[Read] = []
        for key, member in missing.items():
            data = buffers.empty(nbytes, np.uint8)
            fetched[key] = Slice(part, member, data)
            file = member.file(part.home)
            reads += _reads(file, member.data_offset, runs, data)
        read_many(self._store, reads, workers=FETCH_WORKERS)
        return fetched


def _nbytes(runs: Sequence[Run]) -> int:
    return sum(run.nbytes for run in runs)


def _clip(runs: Sequence[Run], start: int, stop: int) -> list[Run]:
    return [piece for run in runs if (piece := run.clip(start, stop))]


def _reads(file: str, data_offset: int, runs: Sequence[Run], data: NDArray[np.uint8]) -> Iterator[Read]:
    """Yield one range read for each run, into the run's place in the packed `data`."""
    place = 0
    for run in runs:
        yield file, data_offset + run.offset, data[place : place + run.nbytes].data
        place += run.nbytes
