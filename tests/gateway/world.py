"""A whole gateway over a store in memory: real code up to the wire, no sockets, no threads, no waiting."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import urllib3
from numpy.typing import NDArray
from safetensors.numpy import save

from flstore_core import layout
from flstore_core.errors import FLStoreError
from flstore_core.ids import AGGREGATE, ClientId, JobId, ShardId
from flstore_core.placement.base import Assignment, Shard, Table
from flstore_core.records import Job, Round
from flstore_core.schema import Schema
from services.common.proof import Keys
from services.gateway.answers.execution import Outcome
from services.gateway.answers.question import Options
from services.gateway.backends.caches import Caches
from services.gateway.backends.calls import Calls
from services.gateway.backends.outbox import Outbox
from services.gateway.backends.placement import RETRY, Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.backends.shards import Shards
from services.gateway.backends.slices import Backends
from services.gateway.jobs import Jobs
from services.gateway.rounds.commit import CommitRequest
from services.gateway.rounds.upload import Upload
from services.gateway.settings import Settings
from services.gateway.state import State, assemble
from services.gateway.threads import Pools
from tests.fakes.clock import FakeTime
from tests.fakes.engines import EngineWire
from tests.fakes.executors import InlineExecutor
from tests.fakes.store import MemoryStore
from tests.fakes.wire import FakeWire, Reply, Sent

TENSORS: list[dict[str, Any]] = [  # in canonical order: widest dtype first, then by name
    {"name": "steps", "dtype": "I64", "shape": []},
    {"name": "bias", "dtype": "F32", "shape": [2]},
    {"name": "weight", "dtype": "F32", "shape": [2, 2]},
]
NAME = JobId("job")
HOME = layout.home(NAME, "g1")
"""Where the job lies that a gateway creates first."""

Answer = Callable[[Sent], Reply]
Wire = Callable[[Answer], urllib3.PoolManager]
"""Makes the connections over which an answer comes."""


def vector(seed: int) -> NDArray[np.float64]:
    """Return the six floats of an update: bias, then weight."""
    return np.array([(seed * step) % 7 - 3.0 for step in range(1, 7)])


def body(seed: int, metadata: Mapping[str, str] | None = None) -> bytes:
    """Return an update as the safetensors library writes it."""
    values = vector(seed).astype(np.float32)
    tensors = {"bias": values[:2], "weight": values[2:].reshape(2, 2), "steps": np.array(seed)}
    return save(tensors, dict(metadata) if metadata else None)


@dataclass(frozen=True)
class World:
    """One gateway, what it stands on, and short ways to fill it."""

    state: State
    store: MemoryStore
    time: FakeTime
    shards: EngineWire
    controller: "Controller"

    def create(self, **settings: Any) -> Job:
        """Create the job `job`."""
        job = Job(NAME, Schema.from_json(TENSORS), created_at=self.time.now(), **settings)
        return self.state.jobs.create(job)[0].job

    @property
    def job(self) -> Job:
        return self.state.rounds.catalog.read_job(NAME)

    def put(self, number: int, client: str, seed: int, **metrics: Any) -> None:
        upload = Upload(self.job, number, ClientId(client), memoryview(body(seed)), metrics)
        self.state.ingest.put(upload)

    def put_aggregate(self, number: int, seed: int) -> None:
        self.put(number, AGGREGATE, seed)

    def put_aggregate_with(self, number: int, seed: int, metrics: Mapping[str, Any]) -> None:
        """Put the aggregate of a seed with metrics, in place of another."""
        self.state.ingest.put(Upload(self.job, number, AGGREGATE, memoryview(body(seed)), metrics, replace=True))

    def fill(self, number: int, clients: int, first: int = 1) -> None:
        """Put updates of seeds `first`, `first` + 1, … by clients c0, c1, … with 10, 11, … examples."""
        for index in range(clients):
            self.put(number, f"c{index}", first + index, num_examples=10 + index)

    def commit(self, number: int, **request: Any) -> Round:
        return self.state.commit.commit(self.job, number, CommitRequest(**{"allow_empty": True, **request}))

    def run(self, workload: str, options: Options | None = None, **params: Any) -> Outcome:
        return self.state.runner.run(NAME, workload, params, options or Options())


class Controller:
    """The placement controller: gives each job `slices` slices, in turn on each shard, when it is asked to.

    Attributes:
        table: as it is published.
        states: by shard, `awake` if it is not there.
        deleted: jobs of which it heard that they are deleted.
        problem: the answer to placing a job, in place of a place.
        starts: of shards, as the controller lists them; none if it is not there.
        shards_problem: the answer to whoever asks how the shards are.
    """

    def __init__(self, slices: int, shards: int, predictors: int) -> None:
        self._slices = slices
        names = [ShardId(f"shard-{index}") for index in range(shards)]
        rows = {name: Shard(name, 60_000_000, f"http://{name}") for name in names}
        self.table = Table(1, rows, {}, {ShardId(f"predictor-{i}"): f"http://predictor-{i}" for i in range(predictors)})
        self.states: dict[str, str] = {}
        self.deleted: list[str] = []
        self.problem: FLStoreError | None = None
        self.starts: dict[str, list[dict[str, Any]]] = {}
        self.shards_problem: FLStoreError | None = None

    def __call__(self, sent: Sent) -> Reply:
        path = sent.path.partition("?")[0]
        if path == "/v1/shards":
            backends = {**{row.id: row.url for row in self.table.shards.values()}, **self.table.predictors}
            if self.shards_problem:
                return Reply.problem(self.shards_problem)
            return Reply.of([self._row(name, url) for name, url in backends.items()])
        if sent.method == "DELETE":
            self.deleted.append(path.rpartition("/")[2])
            return Reply(status=204)
        if self.problem:
            return Reply.problem(self.problem)
        if sent.method == "POST":
            self._place(JobId(path.rpartition("/")[2]))
        return Reply.of(self.table.to_json())

    def _row(self, name: str, url: str) -> dict[str, Any]:
        starts = {"recent_starts": self.starts[name]} if name in self.starts else {}
        return {"shard": name, "url": url, "state": self.states.get(name, "awake"), **starts}

    def _place(self, job: JobId) -> None:
        shards = list(self.table.shards)
        owners = tuple((shards[index % len(shards)],) for index in range(self._slices))
        jobs = {**self.table.jobs, job: Assignment(owners, 1)}
        self.table = Table(self.table.version + 1, self.table.shards, jobs, self.table.predictors)


def inline_pools() -> Pools:
    """Return pools that do everything at once, in the caller's thread."""
    inline = InlineExecutor()
    return Pools(inline, inline, inline, inline, inline, inline)


def world(
    *,
    slices: int = 2,
    predictor: Answer | None = None,
    store: MemoryStore | None = None,
    shards: EngineWire | None = None,
    time: FakeTime | None = None,
    pools: Pools | None = None,
    keys: Keys | None = None,
    wire: Wire = FakeWire,
    **settings: Any,
) -> World:
    """Return a gateway with two shards, and one predictor if `predictor` answers for it.

    `wire` makes the connections to all of them.

    Two gateways of one `store` and with the same `shards` are two of one system.
    """
    time = time or FakeTime()
    store = store or MemoryStore(time.now)
    shards = shards or EngineWire(store, time.monotonic)
    controller = Controller(slices, 2, 1 if predictor else 0)

    def answer(sent: Sent) -> Reply:
        return predictor(sent) if predictor and "//predictor" in sent.url and sent.method == "POST" else shards(sent)

    calls = Calls(60.0, time, wire(answer))
    retry = replace(RETRY, clock=time.monotonic, sleep=time.sleep)
    placement = Placement("http://placement", store, wire(controller), retry=retry)
    placement.wait_for_news()
    outbox = Outbox(Shards(calls), InlineExecutor, time.monotonic, 1 << 30)
    backends = Backends(placement, Shards(calls), Predictors(calls), Caches(calls), InlineExecutor(), outbox)
    parts = Settings(**{"refresh_seconds": 1e9, **settings}), store, backends, pools or inline_pools(), time
    state = assemble(*parts, keys or Keys(), early_patience_s=0.0)
    numbers = count(1)
    state.jobs = Jobs(state.rounds, backends, time, lambda: f"g{next(numbers)}")
    return World(state, store, time, shards, controller)


def stored(store: MemoryStore, key: str) -> Any:
    """Return a stored JSON document."""
    return json.loads(store.contents[key])


__all__ = [
    "HOME",
    "NAME",
    "TENSORS",
    "Controller",
    "World",
    "body",
    "inline_pools",
    "layout",
    "stored",
    "vector",
    "world",
]
