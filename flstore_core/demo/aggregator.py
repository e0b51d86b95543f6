"""What one would do without FLStore: an aggregator that reads what it needs from the object store, for each request.

It is the honest version of it: whole objects in parallel over connections that stay open, records that say what to read
instead of listings, the same vectorised functions FLStore runs, on whole models in one slice.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Self, TypeAlias, cast

import numpy as np
from numpy.typing import NDArray

from flstore_core import codec, layout
from flstore_core.codec import FlatView, Float32
from flstore_core.errors import unknown
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Round
from flstore_core.schema import Schema
from flstore_core.statistics import RoundStatistics, border
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from flstore_core.workloads import registry
from flstore_core.workloads.base import (
    ArtifactLink,
    Context,
    Needs,
    RoundData,
    SliceView,
    WeightsWorkload,
)
from flstore_core.workloads.describe import dump, validate

Model: TypeAlias = tuple[int, ClientId]
"""A stored model: its round, and the client's name or `aggregate`."""

_READERS = 16


@dataclass
class Index:
    """What the aggregator remembers of the rounds it led: their numbers, and who took part."""

    committed: list[int] = field(default_factory=list)
    participations: dict[ClientId, list[int]] = field(default_factory=dict)
    open: Sequence[int] = ()

    def add(self, record: Round) -> None:
        self.committed.append(record.number)
        for member in record.members:
            self.participations.setdefault(member.client, []).append(record.number)

    def rounds_of(self, client: str) -> Sequence[int]:
        found = self.participations.get(ClientId(client))
        if not found:
            raise unknown("client", client, self.participations)
        return found


class Aggregator:
    """Answers workloads from the object store alone, and keeps no model in memory between them."""

    def __init__(self, store: ObjectStore, job: str) -> None:
        self._store = store
        self._job = Job.from_json(load_json(store, layout.job(JobId(job))))
        self._pool = ThreadPoolExecutor(_READERS, thread_name_prefix="aggregator")
        self._index = Index()
        numbers = sorted(int(name) for name in store.folders(layout.rounds_prefix(self._job.id)))
        for record in self._pool.map(self._record, numbers):
            self._index.add(record)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown()

    def run(self, name: str, data: Mapping[str, Any]) -> Any:
        """Return a workload's result as JSON values, as the `result` of FLStore's own answer."""
        workload = registry.get(name)
        params = validate(workload, data)
        records = list(self._pool.map(self._record, workload.select(params, self._index)))
        if workload.needs is Needs.WEIGHTS:
            return self._map(cast("WeightsWorkload[Any, Any]", workload), records, params)
        wanted = workload.needs is Needs.STATISTICS
        rounds = self._with_statistics(records) if wanted else [RoundData(record) for record in records]
        return dump(workload.combine((), Context(self._job, tuple(rounds), self._write), params))

    def artifact(self, key: str) -> Mapping[str, NDArray[Any]]:
        """Return a model that a workload wrote, given its link's `href`."""
        arrays, _ = codec.loads(self._store.get(key))
        return arrays

    def _map(self, workload: WeightsWorkload[Any, Any], records: Sequence[Round], params: Any) -> Any:
        rounds = tuple(RoundData(record) for record in records)
        members = tuple(workload.members(rounds, params))
        base = _base(records[-1]) if workload.reads_base else []
        found = self._read([*((member.round, member.client) for member in members), *base])
        rows = tuple(found[member.round, member.client] for member in members)
        view = SliceView(members, rows, found[base[0]] if base else None)
        context = Context(self._job, rounds, self._write, members)
        return dump(workload.combine([workload.map(view, params)], context, params))

    def _with_statistics(self, records: Sequence[Round]) -> list[RoundData]:
        """Return rounds with the statistics of their models, all of which are read at once."""
        found = self._read([model for record in records for model in (*_models(record), *_base(record))])
        return [RoundData(record, _statistics(record, found, self._job.schema)) for record in records]

    def _record(self, number: int) -> Round:
        return Round.from_json(load_json(self._store, layout.round_record(self._job.id, number)))

    def _read(self, models: Sequence[Model]) -> Mapping[Model, FlatView]:
        """Return the flat vectors of models, read in parallel."""
        distinct = list(dict.fromkeys(models))
        return dict(zip(distinct, self._pool.map(self._read_one, distinct), strict=True))

    def _read_one(self, model: Model) -> FlatView:
        body = memoryview(self._store.get(layout.tensors(self._job.id, *model)))
        schema = self._job.schema
        runs, data = schema.runs(0, schema.parameters), body[codec.parse_header(body).data_offset :]
        pieces = [data[run.offset : run.offset + run.nbytes] for run in runs]
        return FlatView(pieces[0] if len(pieces) == 1 else memoryview(b"".join(pieces)), runs)

    def _write(self, vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        body = codec.dumps(_arrays(self._job.schema, np.concatenate(vector)), metadata)
        digest = sha256(body).hexdigest()
        key = f"aggregator/{self._job.id}/{digest[:32]}.safetensors"
        self._store.put(key, body)
        return ArtifactLink(key, digest, len(body), self._job.schema.parameters)


def _models(record: Round) -> list[Model]:
    names = [*record.by_client, *([AGGREGATE] if record.aggregate else [])]
    return [(record.number, name) for name in names]


def _base(record: Round) -> list[Model]:
    return [] if record.base is None else [(record.base, AGGREGATE)]


def _statistics(record: Round, found: Mapping[Model, FlatView], schema: Schema) -> RoundStatistics:
    models, base = _models(record), _base(record)
    rows = [found[model] for model in models]
    products, squares = border([], rows, found[base[0]] if base else None, schema.segments)
    return RoundStatistics(tuple(name for _, name in models), products, squares)


def _arrays(schema: Schema, vector: Float32) -> dict[str, NDArray[Any]]:
    """Return the flat vector as the tensors of a schema that has floating-point tensors of NumPy's dtypes alone."""
    specs = {spec.name: spec for spec in schema.tensors}
    return {
        part.name: codec.from_float32(vector[part.start : part.stop], specs[part.name].dtype).reshape(
            specs[part.name].shape
        )
        for part in schema.segments
    }
