"""Gateways' rounds over one store in memory, without HTTP, threads or time."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, replace
from itertools import count
from random import Random
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from safetensors.numpy import save

from flstore_core import layout
from flstore_core.cache import Cache, Ledger
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.policies.registry import make_policy
from flstore_core.records import Job, Member, Round, StatisticsMode, to_bytes
from flstore_core.schema import Schema
from flstore_core.statistics import RoundStatistics
from services.common.timing import Time
from services.gateway.jobs import Jobs
from services.gateway.rounds.commit import Commit, CommitRequest
from services.gateway.rounds.erase import Eraser, Erasure
from services.gateway.rounds.index import Catalog
from services.gateway.rounds.ingest import Ingest, Receipt
from services.gateway.rounds.newest import Newest
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.records import Document, Records
from services.gateway.rounds.statistics import Statistics
from services.gateway.rounds.upload import Upload
from services.gateway.rounds.withdraw import Withdrawals
from services.gateway.threads import Pools
from tests.fakes.backends import FakeBackends
from tests.fakes.clock import FakeTime
from tests.fakes.executors import InlineExecutor, LazyExecutor
from tests.fakes.store import MemoryStore

SCHEMA = Schema.from_json(
    [{"name": "bias", "dtype": "F32", "shape": [2]}, {"name": "weight", "dtype": "F32", "shape": [2, 2]}]
)
NAME = JobId("job")
JOB = Job(NAME, SCHEMA, created_at=1.0, generation="g1")
HOME = JOB.home

_NUMBERS: WeakKeyDictionary[MemoryStore, Iterator[int]] = WeakKeyDictionary()
"""Of the names that gateways of one store give: u1, u2, …"""


def values(seed: int) -> list[float]:
    """Return an update's six numbers: small integers, so that sums of products are exact."""
    return [float((seed * step) % 7 - 3) for step in range(1, 7)]


def body(seed: int, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return an update as the safetensors library writes it."""
    numbers = np.array(values(seed), np.float32)
    return save({"bias": numbers[:2], "weight": numbers[2:].reshape(2, 2)}, dict(metadata) if metadata else None)


def gram(seeds: Sequence[int], base: int | None = None) -> list[list[float]]:
    """Return the inner products of updates' differences from the model of seed `base`, by the definition."""
    start = values(base) if base is not None else [0.0] * 6
    rows = [[value - other for value, other in zip(values(seed), start, strict=True)] for seed in seeds]
    return [[sum(a * b for a, b in zip(one, other, strict=True)) for other in rows] for one in rows]


@dataclass(frozen=True)
class World:
    """One gateway's rounds."""

    store: MemoryStore
    time: Time
    backends: FakeBackends
    cache: Cache[Document]
    rounds: Rounds
    statistics: Statistics
    ingest: Ingest
    commits: Commit
    eraser: Eraser
    withdrawals: Withdrawals
    jobs: Jobs

    @classmethod
    def make(
        cls,
        store: MemoryStore | None = None,
        time: Time | None = None,
        *,
        slices: int = 1,
        refresh_seconds: float = 10.0,
        pools: Pools | None = None,
        budget: int = 1 << 20,
        start_lane: Callable[[], Executor] = InlineExecutor,
    ) -> "World":
        """Return a gateway; give two of them one store and they are two gateways of one system."""
        time = time or FakeTime()
        store = store or MemoryStore(time.now)
        pools = pools or inline_pools()
        numbers = _NUMBERS.setdefault(store, count(1))

        def name() -> str:
            return f"u{next(numbers)}"

        cache: Cache[Document] = Cache(
            Ledger(make_policy("lru+arrival", budget, time.monotonic, Random(0)), budget, time.monotonic)
        )
        records = Records(store, cache, pools.readers)
        rounds = Rounds.over(store, Catalog(store, pools, time, refresh_seconds, records.forget), records)
        backends = FakeBackends.over(store, slices, start_lane=start_lane)
        statistics = Statistics(rounds, backends)
        return cls(
            store,
            time,
            backends,
            cache,
            rounds,
            statistics,
            Ingest(rounds, backends, pools, time, Newest(0), name),
            Commit(rounds, statistics, backends, time),
            Eraser(rounds, backends, time, name),
            Withdrawals(rounds, time, name),
            Jobs(rounds, backends, time),
        )

    def put(
        self,
        number: int,
        client: str,
        content: bytes | int,
        metrics: Mapping[str, Any] | None = None,
        job: Job = JOB,
        *,
        replace: bool = False,
    ) -> Receipt:
        """Put an update: bytes, or the update of a seed."""
        content = body(content) if isinstance(content, int) else content
        upload = Upload(job, number, ClientId(client), memoryview(content), metrics or {}, replace=replace)
        return self.ingest.put(upload)

    def drop(self, number: int, client: str, job: Job = JOB) -> Member:
        return self.withdrawals.drop_update(job, number, ClientId(client))

    def put_aggregate(self, number: int, seed: int) -> Receipt:
        return self.put(number, AGGREGATE, seed)

    def commit(self, number: int, job: Job = JOB, **request: Any) -> Round:
        return self.commits.commit(job, number, CommitRequest(**{"allow_empty": True, **request}))

    def erase(self, client: str) -> Erasure:
        return self.eraser.erase(NAME, ClientId(client))

    def stored_record(self, number: int) -> Round | None:
        """Return what the store has as a round's record, through no cache."""
        content = self.store.contents.get(layout.round_record(HOME, number))
        return Round.from_json(json.loads(content)) if content else None

    def stored_member(self, number: int, client: str) -> Member | None:
        """Return what the store has as an update's record, through no cache."""
        content = self.store.contents.get(layout.member(HOME, number, ClientId(client)))
        return Member.from_place(json.loads(content)) if content else None

    def stored_tensors(self, number: int, client: str) -> bytes | None:
        member = self.stored_member(number, client)
        return (
            self.store.contents.get(layout.tensors(HOME, number, ClientId(client), member.upload)) if member else None
        )

    def stored_files(self, number: int) -> set[str]:
        """Return the names of the files of a round's updates, whether a record names them or not."""
        prefix = layout.clients_prefix(HOME, number)
        keys = [key for key in self.store.contents if key.startswith(prefix)]
        return {key.removeprefix(prefix) for key in keys if key.endswith(".safetensors")}

    def stored_statistics(self, number: int) -> RoundStatistics | None:
        content = self.store.contents.get(layout.statistics(HOME, number))
        return RoundStatistics.from_bytes(content) if content else None


def inline_pools() -> Pools:
    """Return pools that work in the caller's thread."""
    inline = InlineExecutor()
    return Pools(inline, LazyExecutor(), inline, inline, inline, inline)


def world(job: Job = JOB, **options: Any) -> World:
    """Return a gateway over a store that holds one job."""
    made = World.make(**options)
    made.store.put(layout.job(job.id), to_bytes(job.to_json()))
    return made


def without_statistics() -> Job:
    return replace(JOB, statistics=StatisticsMode.OFF)
