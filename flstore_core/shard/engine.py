"""The shard's engine: one object that keeps slices and runs workloads over them."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from functools import partial
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec
from flstore_core.cache import Cache
from flstore_core.errors import InvalidParameters
from flstore_core.flat import FlatView, SumView
from flstore_core.ids import ClientId, JobId
from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key, Prefetch
from flstore_core.records import StatisticsMode
from flstore_core.shard.accumulator import Accumulator
from flstore_core.shard.loader import Loader, Slice
from flstore_core.shard.protocol import Answer, MapRequest, MemberRef, SliceRef, StatisticsRequest, Work
from flstore_core.storage import ObjectStore
from flstore_core.workloads import SliceMember, SliceView, registry

OPEN_ROUNDS = 64
"""Accumulators kept. The least recently used goes first; its statistics are built again when they are asked for."""

RoundKey = tuple[SliceRef, int]


class Engine:
    """Slices of many jobs within one byte budget. Methods may be called from any thread."""

    def __init__(self, store: ObjectStore, cache: Cache[Slice]) -> None:
        self._cache = cache
        self._loader = Loader(store, cache)
        self._open: OrderedDict[RoundKey, Accumulator] = OrderedDict()
        self._lock = Lock()

    def expected_nbytes(self, part: SliceRef) -> int:
        """Return the packed size of a slice of a job."""
        return sum(run.nbytes for run in self._loader.runs(part))

    def put(self, part: SliceRef, member: MemberRef, base: MemberRef | None, data: NDArray[np.uint8]) -> bool:
        """Take in a slice that is being written to the store; return whether it is cached.

        Args:
            data: the slice's packed bytes, uint8, shape (expected_nbytes,). Kept, not copied.
            base: the model that the round's deltas are taken against.
        """
        if data.nbytes != self.expected_nbytes(part):
            raise InvalidParameters(f"the slice has {data.nbytes} bytes; expected {self.expected_nbytes(part)}")
        self._loader.cached_or_discard(part, member)
        outcome = self._cache.ingest(member.key(part), Slice(part, member, data))
        if self._loader.jobs.get(part.job, part.digest, part.generation).statistics is StatisticsMode.EXACT:
            self._accumulator(part, member.round, base).add(member)
        return bool(outcome.admitted)

    def statistics(self, request: StatisticsRequest) -> Answer:
        """Return the statistics of a round's slice as safetensors."""
        started = perf_counter()
        accumulator = self._accumulator(request.part, request.members[0].round, request.base)
        body = accumulator.statistics(request.members).to_bytes()
        return Answer(body, Work(compute_s=perf_counter() - started))

    def map(self, request: MapRequest) -> tuple[Answer, Sequence[Prefetch]]:
        """Run a workload's `map`; return its partial as safetensors, and what the policy wants fetched next.

        The partial is of a window of the slice if the slice does not fit whole and the request allows it.
        """
        workload = registry.get_weights(request.workload)
        params = registry.params_from_json(workload, request.params)
        stored = list(dict.fromkeys(request.models))
        loaded = self._loader.load(request.part, stored, request.workload, request.pattern, request.start)
        started = perf_counter()
        views = dict(zip(stored, loaded.views, strict=True))
        pairs = zip(request.members, request.weights or ((),) * len(request.members), strict=True)
        members = tuple(SliceMember(m.round, m.client, m.num_examples, weights) for m, weights in pairs)
        rows = tuple(_as_model(member, request.bases, views) for member in request.members)
        segments = self._loader.jobs.get(request.part.job, request.part.digest, request.part.generation).schema.segments
        view = SliceView(members, rows, views[request.base] if request.base else None, segments)
        body = codec.encode(workload.map(view, params))
        work = loaded.work + Work(compute_s=perf_counter() - started)
        return Answer(body, work, loaded.window), loaded.prefetches

    def commit(self, part: SliceRef, number: int) -> Sequence[Prefetch]:
        """Learn that a round is committed; return what the policy wants fetched next."""
        with self._lock:
            self._open.pop((part, number), None)
        return self._cache.commit(part.job, number, part.index)

    def prefetch(self, part: SliceRef, key: Key, pattern: Pattern, member: MemberRef | None = None) -> None:
        """Fetch one slice ahead of any request; `member` says where it lies, None has the store asked."""
        self._loader.prefetch(part, key, pattern, member)

    def working_set(self) -> list[tuple[SliceRef, MemberRef]]:
        """Return what is cached, so that another process can fetch it again."""
        keys = self._cache.keys()
        return [(value.part, value.member) for key in keys if (value := self._cache.get(key))]

    def forget_job(self, job: JobId) -> int:
        """Drop everything of a deleted job; return how many slices were dropped."""
        self._forget_open(job)
        self._loader.jobs.forget(job)
        return self._cache.discard_job(job)

    def forget_client(self, job: JobId, client: ClientId) -> int:
        """Drop an erased client's slices and the job's accumulators; return how many slices were dropped."""
        self._forget_open(job)
        keys = self._cache.keys()
        return sum(self._cache.discard(key) for key in keys if key.job == job and key.client == client)

    def keep_only(self, owned: Mapping[JobId, Sequence[int]]) -> int:
        """Drop the slices that the placement table gives to other shards; return how many were dropped.

        Args:
            owned: indices of this shard's slices, by job.
        """
        keys = self._cache.keys()
        return sum(self._cache.discard(key) for key in keys if key.slice not in owned.get(JobId(key.job), ()))

    def inventory(self) -> dict[str, Any]:
        """Return the cache's counters, and objects and bytes held by job, as plain JSON values."""
        jobs: dict[str, dict[str, Any]] = {}
        for part, member in self.working_set():
            entry = jobs.setdefault(part.job, {"objects": 0, "slices": set(), "rounds": set()})
            entry["objects"] += 1
            entry["slices"].add(part.index)
            entry["rounds"].add(member.round)
        for entry in jobs.values():
            entry |= {"slices": sorted(entry["slices"]), "rounds": sorted(entry["rounds"])}
        return {**self._cache.snapshot(), "jobs": jobs}

    def explain(self, key: Key) -> dict[str, Any]:
        """Say why a key is cached, or when and why it left, as plain JSON values."""
        explanation = self._cache.explain(key)
        return {
            "cached": explanation.cached,
            "since": explanation.since,
            "why": explanation.why,
            "pinned": explanation.pinned,
        }

    def _forget_open(self, job: JobId) -> None:
        with self._lock:
            for key in [key for key in self._open if key[0].job == job]:
                del self._open[key]

    def _accumulator(self, part: SliceRef, number: int, base: MemberRef | None) -> Accumulator:
        key = (part, number)
        with self._lock:
            accumulator = self._open.pop(key, None)
            if accumulator is None or accumulator.base != base:
                schema = self._loader.jobs.get(part.job, part.digest, part.generation).schema
                accumulator = Accumulator(base, schema.segments, partial(self._loader.pieces, part))
            self._open[key] = accumulator
            while len(self._open) > OPEN_ROUNDS:
                self._open.popitem(last=False)
            return accumulator


def _as_model(member: MemberRef, bases: Mapping[int, MemberRef], views: Mapping[MemberRef, FlatView]) -> FlatView:
    """Return a view of a model: what is stored of it, added to its base if that is a difference."""
    return SumView(views[bases[member.round]], views[member]) if member.is_delta else views[member]
