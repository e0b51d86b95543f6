"""Workloads over weights asked as the gateway asks them: rounds of models, in any number of slices and any dtypes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.flat import FlatView, from_float32
from flstore_core.ids import AGGREGATE, JobId
from flstore_core.records import Job
from flstore_core.schema import Schema, TensorSpec
from flstore_core.workloads import Context, RoundData, SliceView, wants_statistics
from tests.workloads.rounds import Artifacts, Index

Vector = NDArray[Any]

MIXED = Schema.of(
    [
        TensorSpec("a", "F32", (300,)),
        TensorSpec("b", "F16", (10, 7)),
        TensorSpec("c", "BF16", (41,)),
        TensorSpec("d", "F64", (5, 5)),
        TensorSpec("steps", "I64", (3,)),
    ]
)


@dataclass
class Stored:
    """A job's rounds and their models: vectors by (round, client), aggregates under `aggregate`."""

    schema: Schema
    rounds: Sequence[RoundData]
    models: Mapping[tuple[int, str], Vector]
    artifacts: Artifacts = field(default_factory=Artifacts)

    def ask(self, workload: Any, slices: int = 1, **params: Any) -> Any:
        """Return a workload's answer; the models it writes go to `artifacts`."""
        return self.ask_with(workload, workload.params(**params), slices)

    def ask_with(self, workload: Any, asked: Any, slices: int = 1, progress: Any = lambda done, total: None) -> Any:
        numbers = list(workload.select(asked, self.index))
        rounds = tuple(data for data in self.rounds if data.record.number in numbers)
        wanted = wants_statistics(workload, asked)
        rounds = rounds if wanted else tuple(RoundData(data.record) for data in rounds)
        members = tuple(workload.members(rounds, asked))
        base = rounds[-1].record.base if workload.reads_base else None
        partials = []
        for index in range(slices):
            rows = tuple(self._view(member.round, member.client, index, slices) for member in members)
            origin = None if base is None else self._view(base, AGGREGATE, index, slices)
            partials.append(workload.map(SliceView(members, rows, origin, self.schema.segments), asked))
        context = Context(Job(JobId("job"), self.schema), rounds, self.artifacts, members, progress=progress)
        return workload.combine(partials, context, asked)

    @property
    def index(self) -> Index:
        taken: dict[str, list[int]] = {}
        for data in self.rounds:
            for member in data.record.members:
                taken.setdefault(member.client, []).append(data.record.number)
        return Index([data.record.number for data in self.rounds], (), taken)

    def _view(self, number: int, client: str, index: int, slices: int) -> FlatView:
        return packed(self.models[number, client], self.schema, *self.schema.slice_bounds(index, slices))


def packed(vector: Vector, schema: Schema, start: int, stop: int) -> FlatView:
    """Return flat elements [start, stop) of a vector, stored in the schema's dtypes."""
    runs = schema.runs(start, stop)
    stored = [
        from_float32(vector[run.start : run.start + run.count].astype(np.float32), run.dtype).tobytes() for run in runs
    ]
    return FlatView(np.frombuffer(b"".join(stored), np.uint8), runs)
