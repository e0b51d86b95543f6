"""A job in memory that is asked as the gateway asks: rounds of models, in any number of slices and any dtypes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.flat import FlatView, from_float32
from flstore_core.ids import AGGREGATE, JobId
from flstore_core.records import Job
from flstore_core.schema import Schema, TensorSpec
from flstore_core.workloads import Context, Needs, Progress, RoundData, SliceView, no_progress, wants_statistics
from tests.fakes.models import FakeAccess
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
    models: Mapping[tuple[int, str], Vector] = field(default_factory=dict)
    artifacts: Artifacts = field(default_factory=Artifacts)
    access: FakeAccess | None = None
    """What runs models; needed by workloads that run some."""

    def ask(self, workload: Any, slices: int = 1, **params: Any) -> Any:
        """Return a workload's answer; the models it writes go to `artifacts`."""
        return self.ask_with(workload, workload.params(**params), slices)

    def ask_with(self, workload: Any, params: Any, slices: int = 1, progress: Progress = no_progress) -> Any:
        """Return a workload's answer by the gateway's steps: select, read, map or run, combine."""
        rounds = self._read(workload, params)
        context = Context(Job(JobId("job"), self.schema), rounds, self.artifacts, progress=progress)
        partials: Sequence[Any] = []
        if workload.needs is Needs.WEIGHTS:
            context = replace(context, members=tuple(workload.members(rounds, params)))
            base = rounds[-1].record.base if workload.reads_base else None
            partials = [self._map(workload, params, context, base, index, slices) for index in range(slices)]
        elif workload.needs is Needs.MODEL:
            assert self.access is not None, "give `access` to a history whose models run"
            self.access.models = workload.models(rounds, params)
            self.access.announced = workload.datasets(params)
            context = replace(context, models=tuple(self.access.models))
            partials = [workload.run(self.access, params)]
        return workload.combine(partials, context, params)

    @property
    def index(self) -> Index:
        """What is known of the rounds before any is read."""
        participations: dict[str, list[int]] = {}
        numbers: dict[bool, list[int]] = {True: [], False: []}
        for data in self.rounds:
            numbers[data.record.committed].append(data.record.number)
            for member in data.record.members if data.record.committed else ():
                participations.setdefault(member.client, []).append(data.record.number)
        return Index(numbers[True], numbers[False], participations)

    def _read(self, workload: Any, params: Any) -> tuple[RoundData, ...]:
        numbers = list(workload.select(params, self.index))
        rounds = tuple(data for data in self.rounds if data.record.number in numbers)
        return rounds if wants_statistics(workload, params) else tuple(RoundData(data.record) for data in rounds)

    def _map(
        self, workload: Any, params: Any, context: Context, base: int | None, index: int, slices: int
    ) -> Mapping[str, Vector]:
        rows = tuple(self._view(member.round, member.client, index, slices) for member in context.members)
        origin = None if base is None else self._view(base, AGGREGATE, index, slices)
        partial: Mapping[str, Vector] = workload.map(
            SliceView(context.members, rows, origin, self.schema.segments), params
        )
        return partial

    def _view(self, number: int, client: str, index: int, slices: int) -> FlatView:
        return packed(self.models[number, client], self.schema, *self.schema.slice_bounds(index, slices))


def packed(vector: Vector, schema: Schema, start: int, stop: int) -> FlatView:
    """Return flat elements [start, stop) of a vector, stored in the schema's dtypes."""
    runs = schema.runs(start, stop)
    stored = [
        from_float32(vector[run.start : run.start + run.count].astype(np.float32), run.dtype).tobytes() for run in runs
    ]
    return FlatView(np.frombuffer(b"".join(stored), np.uint8), runs)
