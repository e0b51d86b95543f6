"""An aggregator without FLStore: it reads the models of each request from the object store.

The demonstration, the benchmarks and the load generator's baselines compare FLStore with it. It is a fair opponent: it
reads whole objects in parallel over pooled connections, finds them by records instead of listings, and runs the same
vectorised functions as FLStore, on whole models in one slice.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Protocol, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec, flat, layout
from flstore_core.errors import InvalidParameters, NoPredictor, NotFound, unknown
from flstore_core.flat import FlatView, Float32
from flstore_core.generations import Generations
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Round, Updates
from flstore_core.schema import Schema
from flstore_core.statistics import RoundStatistics, border
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from flstore_core.workloads import (
    ArtifactLink,
    Context,
    Needs,
    RoundData,
    SliceView,
    WeightsWorkload,
    registry,
    wants_statistics,
)
from flstore_core.workloads.describe import answer, validate

Model: TypeAlias = tuple[int, ClientId]
"""A stored model: its round, and the client's name or `aggregate`."""

Reading: TypeAlias = Mapping[Model, Future[tuple[FlatView, bool]]]
"""Models that are being read, each with whether it came from memory."""

_READERS = 16
_ROUNDS_AHEAD = 2
"""Rounds that are read ahead of the one being processed: enough for all readers, few enough for the memory."""


@dataclass
class Index:
    """The aggregator's index of its rounds: their numbers and participants."""

    committed: list[int] = field(default_factory=list)
    participations: dict[ClientId, list[int]] = field(default_factory=dict)
    open: Sequence[int] = ()

    def add(self, record: Round) -> None:
        self.committed.append(record.number)
        for member in record.members:
            self.participations.setdefault(member.client, []).append(record.number)

    def rounds_of(self, client: str) -> Sequence[int]:
        rounds = self.participations.get(ClientId(client))
        if not rounds:
            raise unknown("client", client, self.participations)
        return rounds


@dataclass(slots=True)
class Tally:
    """Objects and bytes that a request read."""

    hits: int = 0
    """Objects that came from memory."""
    misses: int = 0
    """Objects that came from the store."""
    nbytes: int = 0


class Source(Protocol):
    """Where objects are read from."""

    def fetch(self, key: str) -> tuple[bytes | memoryview, bool]:
        """Return an object, and whether it came from memory."""


@dataclass(frozen=True, slots=True)
class StoreSource:
    """Reads every object from the store, each time."""

    store: ObjectStore

    def fetch(self, key: str) -> tuple[bytes | memoryview, bool]:
        return self.store.get(key), False


class Aggregator:
    """Answers workloads from the object store alone, and keeps no model in memory between them.

    Args:
        source: where models are read from; the store itself by default.

    Raises:
        InvalidParameters: for a job whose updates are differences.
    """

    def __init__(self, store: ObjectStore, job: str, source: Source | None = None) -> None:
        self._store = store
        self._source = source or StoreSource(store)
        self._job = Generations(store).read(JobId(job))
        if self._job.updates is not Updates.WEIGHTS:
            raise InvalidParameters(f"job {job!r} has differences; this baseline takes models alone: send weights")
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="aggregator")
        self._index = Index()
        self._records: dict[int, Round] = {}
        numbers = sorted(int(name) for name in store.folders(layout.rounds_prefix(self._job.home)))
        for record in self._pool.map(self._stored_record, numbers):
            if record:
                self.add(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    @property
    def job(self) -> Job:
        return self._job

    @property
    def rounds_with_aggregate(self) -> Sequence[int]:
        """The committed rounds with an aggregate, ascending."""
        return sorted(number for number, record in self._records.items() if record.aggregate)

    def is_committed(self, number: int) -> bool:
        return number in self._records

    def add(self, record: Round) -> None:
        """Remember a round that was just committed."""
        self._records[record.number] = record
        self._index.add(record)

    def run(self, name: str, data: Mapping[str, Any], tally: Tally | None = None) -> Any:
        """Return a workload's result as JSON values, equal to the `result` of FLStore's answer.

        Args:
            tally: counts what is read.
        """
        workload, tally = registry.get(name), tally or Tally()
        params = validate(workload, data)
        records = [self._record(number) for number in workload.select(params, self._index)]
        if workload.needs is Needs.MODEL:
            raise NoPredictor(f"workload {name!r} runs models; the aggregator has none to run them with")
        if workload.needs is Needs.WEIGHTS:
            return self._map(cast("WeightsWorkload[Any, Any]", workload), records, params, tally)
        needs_statistics = workload.needs is Needs.STATISTICS
        rounds = self._with_statistics(records, tally) if needs_statistics else map(RoundData, records)
        return answer(workload, (), Context(self._job, tuple(rounds), self._write), params)

    def artifact(self, key: str) -> Mapping[str, NDArray[Any]]:
        """Return a model that a workload wrote, given its link's `href`."""
        arrays, _ = codec.loads(self._store.get(key))
        return arrays

    def _map(self, workload: WeightsWorkload[Any, Any], records: Sequence[Round], params: Any, tally: Tally) -> Any:
        needs_statistics = wants_statistics(workload, params)
        views: dict[Model, FlatView] = {}
        if needs_statistics:  # `members` may need them, so every model of the rounds is read before it is asked
            views |= _collect(self._begin([model for r in records for model in (*_models(r), *_base(r))]), tally)
        schema = self._job.schema
        rounds = tuple(RoundData(r, _statistics(r, views, schema) if needs_statistics else None) for r in records)
        members = tuple(workload.members(rounds, params))
        if not members:
            return answer(workload, (), Context(self._job, rounds, self._write), params)
        # As in the gateway, the base is that of the newest round read.
        base = _base(records[-1]) if workload.reads_base else []
        models = [*((member.round, member.client) for member in members), *base]
        views |= _collect(self._begin([model for model in models if model not in views]), tally)
        rows = tuple(views[member.round, member.client] for member in members)
        view = SliceView(members, rows, views[base[0]] if base else None, schema.segments)
        context = Context(self._job, rounds, self._write, members)
        return answer(workload, [workload.map(view, params)], context, params)

    def _with_statistics(self, records: Sequence[Round], tally: Tally) -> Iterator[RoundData]:
        """Yield rounds with the statistics of their models; while one is worked on, the next ones are being read."""
        waiting: deque[tuple[Round, Reading]] = deque()
        for record in records:
            waiting.append((record, self._begin([*_models(record), *_base(record)])))
            if len(waiting) > _ROUNDS_AHEAD:
                yield self._finish(*waiting.popleft(), tally)
        while waiting:
            yield self._finish(*waiting.popleft(), tally)

    def _finish(self, record: Round, reading: Reading, tally: Tally) -> RoundData:
        return RoundData(record, _statistics(record, _collect(reading, tally), self._job.schema))

    def _record(self, number: int) -> Round:
        """Return a committed round's record, which never changes."""
        record = self._records.get(number) or self._stored_record(number)
        if record is None:
            raise unknown(f"round of job {self._job.id!r}:", str(number), [str(n) for n in self._index.committed])
        return record

    def _stored_record(self, number: int) -> Round | None:
        try:
            return Round.from_json(load_json(self._store, layout.round_record(self._job.home, number)))
        except NotFound:
            return None

    def _begin(self, models: Sequence[Model]) -> Reading:
        """Begin to read models, in parallel."""
        return {model: self._pool.submit(self._read, model) for model in dict.fromkeys(models)}

    def _read(self, model: Model) -> tuple[FlatView, bool]:
        stored, from_memory = self._source.fetch(self._file(*model))
        body = memoryview(stored)
        schema = self._job.schema
        runs, data = schema.runs(0, schema.parameters), body[codec.parse_header(body).data_offset :]
        pieces = [data[run.offset : run.offset + run.nbytes] for run in runs]
        return FlatView(pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces)), runs), from_memory

    def _file(self, number: int, client: ClientId) -> str:
        record = self._records[number]
        member = record.aggregate if client == AGGREGATE else record.by_client.get(client)
        return layout.tensors(self._job.home, number, client, member.upload if member else "")

    def _write(self, vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        body = codec.dumps(_arrays(self._job.schema, np.concatenate(vector)), metadata)
        digest = sha256(body).hexdigest()
        key = f"aggregator/{self._job.id}/{digest[:32]}.safetensors"
        self._store.put(key, body)
        return ArtifactLink(key, digest, len(body), self._job.schema.parameters)


def _collect(reading: Reading, tally: Tally) -> Mapping[Model, FlatView]:
    """Return models once all of them are there."""
    views = {}
    for model, future in reading.items():
        views[model], from_memory = future.result()
        tally.hits += from_memory
        tally.misses += not from_memory
        tally.nbytes += views[model].nbytes
    return views


def _models(record: Round) -> list[Model]:
    names = [*record.by_client, *([AGGREGATE] if record.aggregate else [])]
    return [(record.number, name) for name in names]


def _base(record: Round) -> list[Model]:
    return [] if record.base is None else [(record.base, AGGREGATE)]


def _statistics(record: Round, views: Mapping[Model, FlatView], schema: Schema) -> RoundStatistics:
    models, base = _models(record), _base(record)
    rows = [views[model] for model in models]
    products, squares = border([], rows, views[base[0]] if base else None, schema.segments)
    return RoundStatistics(tuple(name for _, name in models), products, squares)


def _arrays(schema: Schema, vector: Float32) -> dict[str, NDArray[Any]]:
    """Return the flat vector as the tensors of a schema that has floating-point tensors of NumPy's dtypes alone."""
    specs = {spec.name: spec for spec in schema.tensors}
    return {
        part.name: flat.from_float32(vector[part.start : part.stop], specs[part.name].dtype).reshape(
            specs[part.name].shape
        )
        for part in schema.segments
    }
