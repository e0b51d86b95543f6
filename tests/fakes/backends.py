"""Shards without processes. They keep the slices that they get, and compute statistics from the store's objects."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load

from flstore_core import layout
from flstore_core.errors import FLStoreError, NotFound, Unavailable
from flstore_core.ids import ClientId, JobId, ShardId
from flstore_core.placement.base import Assignment, Shard, Table
from flstore_core.records import to_bytes
from flstore_core.shard.protocol import MemberRef, SliceRef, StatisticsRequest, Work
from flstore_core.statistics import RoundStatistics
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.outbox import Outbox
from services.gateway.backends.placement import Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from services.gateway.backends.slices import Backends
from tests.fakes.clock import FakeTime
from tests.fakes.executors import InlineExecutor
from tests.fakes.store import Call, Hook, MemoryStore


@dataclass
class FakePlacement(Placement):
    """A placement without a controller: every job has one slice on each of `shards`.

    Attributes:
        trouble: raised instead of placing a job.
        before: called before a job is placed.
        forgotten: jobs that the controller was told are deleted.
    """

    shards: tuple[str, ...] = ("shard-0",)
    trouble: FLStoreError | None = None
    before: Callable[[], object] = lambda: None
    forgotten: list[JobId] = field(default_factory=list)

    def __post_init__(self) -> None:
        store = MemoryStore()
        shards = {ShardId(name): Shard(ShardId(name), 1 << 30, f"http://{name}") for name in self.shards}
        store.put(layout.TABLE, to_bytes(Table(1, shards).to_json()))
        super().__init__("http://nobody", store)
        self.load()

    def find_or_place(self, job: JobId) -> Assignment:
        return self.place(job)

    def place(self, job: JobId) -> Assignment:
        self.before()
        if self.trouble:
            raise self.trouble
        return Assignment(tuple((ShardId(name),) for name in self.shards), 1)

    def forget(self, job: JobId) -> None:
        if self.trouble:
            raise self.trouble
        self.forgotten.append(job)

    def fetch_backends(self) -> list[dict[str, Any]]:
        return [{"shard": name, "url": f"http://{name}", "state": "awake"} for name in self.shards]


class FakeShards(Shards):
    """Shards of `store`.

    Attributes:
        before: called before statistics are asked for.
        slices: bytes that were handed over, by slice index, round and client, and the base they came with.
        commits: slice indices and rounds that shards were told are committed.
        trouble: raised by every call.
    """

    def __init__(self, store: MemoryStore) -> None:
        super().__init__(Calls(1.0, FakeTime()))
        self._store = store
        self.before: Hook = lambda call: None
        self.slices: dict[tuple[int, int, ClientId], tuple[bytes, MemberRef | None]] = {}
        self.commits: list[tuple[int, int]] = []
        self.trouble: FLStoreError | None = None

    def put_slice(
        self, urls: Sequence[str], part: SliceRef, member: MemberRef, base: MemberRef | None, body: list[memoryview]
    ) -> None:
        self._check(urls)
        self.slices[part.index, member.round, member.client] = b"".join(body), base

    def statistics(self, urls: Sequence[str], request: StatisticsRequest) -> tuple[RoundStatistics, Work]:
        """Compute inner products of deltas by their definition. Works for jobs of float32 tensors only."""
        self._check(urls)
        rounds = {ref.round for ref in request.members}
        self.before(Call("statistics", layout.round_prefix(request.part.home, min(rounds))))
        rows = [self._tensors(request, ref) for ref in request.members]
        whole = np.concatenate([np.stack(tensors) for tensors in zip(*rows, strict=True)], axis=1)
        squares = np.stack([np.square(np.stack(tensors)).sum(axis=1) for tensors in zip(*rows, strict=True)], axis=1)
        members = tuple(ref.client for ref in request.members)
        return RoundStatistics(members, whole @ whole.T, squares), Work(hits=len(members))

    def committed(self, urls: Sequence[str], part: SliceRef, number: int) -> None:
        self._check(urls)
        self.commits.append((part.index, number))

    def _check(self, urls: Sequence[str]) -> None:
        if self.trouble:
            raise self.trouble
        if not urls:
            raise Unavailable("no shard has an address")

    def _tensors(self, request: StatisticsRequest, ref: MemberRef) -> list[NDArray[np.float64]]:
        """Return the slice of a member's delta as one array for each tensor, in the order of the tensors' names."""
        part = request.part
        update = self._load(part, ref)
        base = self._load(part, request.base) if request.base and not ref.is_delta else {}
        count = sum(array.size for array in update.values())
        first, last = part.index * count // part.slices, (part.index + 1) * count // part.slices
        tensors, start = [], 0
        for name, array in sorted(update.items()):
            delta = (array - base.get(name, 0.0)).ravel()
            tensors.append(delta[max(0, first - start) : max(0, last - start)])
            start += delta.size
        return tensors

    def _load(self, part: SliceRef, ref: MemberRef) -> dict[str, NDArray[np.float64]]:
        body = self._store.contents.get(ref.file(part.home))
        if body is None:
            raise NotFound(f"the store has no {ref.client!r} in round {ref.round}")
        return {name: array.astype(np.float64) for name, array in load(body).items()}


class FakeCaches(Caches):
    """Caches that hold nothing.

    Attributes:
        forgotten: shards, jobs and clients they were told to drop; None for a whole job.
    """

    def __init__(self) -> None:
        super().__init__(Calls(1.0, FakeTime()))
        self.forgotten: list[tuple[str, JobId, ClientId | None]] = []

    def forget_job(self, urls: Mapping[ShardId, str], job: JobId) -> None:
        self.forgotten += [(shard, job, None) for shard in urls]

    def forget_client(self, urls: Mapping[ShardId, str], job: JobId, client: ClientId) -> None:
        self.forgotten += [(shard, job, client) for shard in urls]


@dataclass(frozen=True, slots=True)
class FakeBackends(Backends):
    """Fake backends. There are no predictors."""

    placement: FakePlacement
    shards: FakeShards
    caches: FakeCaches

    @classmethod
    def over(
        cls,
        store: MemoryStore,
        slices: int = 1,
        callers: Executor | None = None,
        start_lane: Callable[[], Executor] = InlineExecutor,
    ) -> "FakeBackends":
        """Return backends over `store`, with one shard for each slice."""
        placement = FakePlacement(tuple(f"shard-{index}" for index in range(slices)))
        predictors = Predictors(Calls(1.0, FakeTime()))
        shards = FakeShards(store)
        outbox = Outbox(shards, start_lane, FakeTime().monotonic, 1 << 30)
        return cls(placement, shards, predictors, FakeCaches(), callers or InlineExecutor(), outbox)
