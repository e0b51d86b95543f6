"""Rounds as workloads see them, made from plain arrays: statistics and slices by the same code as in a shard."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import unknown
from flstore_core.flat import FlatView, Float32, from_float32
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, Member, Round
from flstore_core.schema import Schema, TensorSpec
from flstore_core.statistics import RoundStatistics, border
from flstore_core.workloads import ArtifactLink, Context, RoundData, SliceView

Rows = NDArray[Any]


def schema_of(parameters: int, dtype: str = "F32") -> Schema:
    """Return a schema of two tensors with `parameters` elements together."""
    first = parameters // 3
    return Schema.of([TensorSpec("body", dtype, (parameters - first,)), TensorSpec("head", dtype, (first,))])


def view(vector: Rows, schema: Schema, index: int = 0, slices: int = 1) -> FlatView:
    """Return slice `index` of a flat vector, stored in the schema's dtype."""
    start, stop = schema.slice_bounds(index, slices)
    dtype = schema.tensors[0].dtype
    stored = from_float32(np.ascontiguousarray(vector[start:stop], np.float32), dtype)
    return FlatView(stored.view(np.uint8), schema.runs(start, stop))


def statistics(rows: Rows, names: Sequence[str], base: Rows | None = None, slices: int = 1) -> RoundStatistics:
    """Return the statistics of the models `rows`, grown one model at a time and added up over slices."""
    schema = schema_of(rows.shape[1])
    parts = []
    for index in range(slices):
        views = [view(row, schema, index, slices) for row in rows]
        origin = None if base is None else view(base, schema, index, slices)
        gram = np.zeros((len(rows), len(rows)))
        squares = []
        for new in range(len(rows)):
            products, square = border(views[:new], [views[new]], origin, schema.segments)
            gram[new, : new + 1] = gram[: new + 1, new] = products[0]
            squares.append(square[0])
        parts.append(RoundStatistics(tuple(map(ClientId, names)), gram, np.array(squares)))
    return RoundStatistics.add_up(parts)


def member(name: str, metrics: Mapping[str, Any] | None = None) -> Member:
    return Member(ClientId(name), "0" * 64, 0, 0, metrics or {})


def make_round(
    rows: Rows,
    names: Sequence[str] | None = None,
    *,
    number: int = 0,
    base: Rows | None = None,
    aggregate: Rows | None = None,
    examples: Sequence[float] | None = None,
    slices: int = 1,
) -> RoundData:
    """Return a committed round whose clients sent the models `rows`."""
    names = names or [f"c{row}" for row in range(len(rows))]
    examples = [1.0] * len(rows) if examples is None else examples
    members = tuple(member(name, {"num_examples": count}) for name, count in zip(names, examples, strict=True))
    everyone = list(names)
    if aggregate is not None:
        rows, everyone = np.vstack([rows, aggregate]), [*names, AGGREGATE]
    stored = member(AGGREGATE) if aggregate is not None else None
    return RoundData(Round(number, None, members, stored, committed_at=1.0), statistics(rows, everyone, base, slices))


def rounds_of(*rounds: Mapping[str, Mapping[str, Any]]) -> list[RoundData]:
    """Return open rounds from 0 on, each given by its clients' metrics."""
    return [
        RoundData(Round(number, None, tuple(member(client, metrics) for client, metrics in clients.items())))
        for number, clients in enumerate(rounds)
    ]


@dataclass
class Artifacts:
    """Takes the models that workloads write."""

    written: list[Float32] = field(default_factory=list)
    metadata: list[Mapping[str, str]] = field(default_factory=list)

    def __call__(self, vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        whole = np.concatenate(vector)
        self.written.append(whole)
        self.metadata.append(metadata)
        return ArtifactLink("/artifacts/x", "0" * 64, whole.nbytes, len(whole))


def ask(workload: Any, rounds: RoundData | Sequence[RoundData], **params: Any) -> Any:
    """Return a workload's answer over statistics or records."""
    rounds = (rounds,) if isinstance(rounds, RoundData) else tuple(rounds)
    context = Context(Job(JobId("job"), schema_of(9)), rounds, Artifacts())
    return workload.combine([], context, workload.params(**params))


def ask_weights(
    workload: Any,
    data: RoundData,
    rows: Rows,
    base: Rows | None = None,
    slices: int = 1,
    dtype: str = "F32",
    **params: Any,
) -> tuple[Any, Float32]:
    """Return the answer of a workload over weights, and the model it wrote."""
    asked = workload.params(**params)
    schema = schema_of(rows.shape[1], dtype)
    members = tuple(workload.members([data], asked))
    position = {known.client: row for row, known in enumerate(data.record.members)}
    partials = []
    for index in range(slices):
        views = tuple(view(rows[position[wanted.client]], schema, index, slices) for wanted in members)
        origin = None if base is None else view(base, schema, index, slices)
        partials.append(workload.map(SliceView(members, views, origin, schema.segments), asked))
    artifacts = Artifacts()
    answer = workload.combine(partials, Context(Job(JobId("job"), schema), (data,), artifacts, members), asked)
    return answer, artifacts.written[0]


@dataclass(frozen=True)
class Index:
    """What a job's rounds look like before any is read."""

    committed: Sequence[int] = ()
    open: Sequence[int] = ()
    clients: Mapping[str, Sequence[int]] = field(default_factory=dict)

    def rounds_of(self, client: str) -> Sequence[int]:
        if client not in self.clients:
            raise unknown("client", client, self.clients)
        return self.clients[client]
