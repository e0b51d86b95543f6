"""Infers with a version of a job's model: the one that a request names, or by default the newest aggregate."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core import layout
from flstore_core.errors import NotEnoughData, NotFound
from flstore_core.files import FileName, Files
from flstore_core.generations import Generations
from flstore_core.ids import AGGREGATE, JobId
from flstore_core.model_names import ModelName
from flstore_core.models.engine import Engine
from flstore_core.models.protocol import ModelRef, RunRequest
from flstore_core.patterns import Pattern
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json
from flstore_core.workloads import InputSpec

WORKLOAD = "inference"
"""Name under which the cache counts direct requests, which belong to no workload."""


@dataclass
class _Current:
    """A job, its program and newest aggregate, and when they were read."""

    job: Job
    program: str
    """SHA-256 of the program."""
    newest: ModelName | None
    read_at: float


class Versions:
    """Infers with a version of a job's model. Safe to share between threads.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, store: ObjectStore, engine: Engine, clock: Callable[[], float], refresh_seconds: float) -> None:
        self._store = store
        self._generations = Generations(store)
        self._files = Files(store)
        self._engine = engine
        self._clock = clock
        self._refresh_seconds = refresh_seconds
        self._jobs: dict[JobId, _Current] = {}

    def infer(self, job: JobId, version: str, inputs: Mapping[str, NDArray[Any]]) -> tuple[str, list[NDArray[Any]]]:
        """Return the version that answered, and its outputs.

        Args:
            version: a `ModelName`, or empty for the newest aggregate.
            inputs: arrays by name, or in order under any names.

        Raises:
            NotFound: if the job, its program or the model does not exist.
            InvalidParameters: if version or inputs do not fit.
        """
        current = self._current(job)  # first: if the job was created anew, this forgets the earlier one's record
        name = self._name(job, version)
        ref = self._engine.library.locate(current.job, name)
        request = _request(current, (ref,))
        with self._engine.access(request) as access:
            return str(name), list(access.model(name)(*ordered(inputs, access.inputs)))

    def inputs(self, job: JobId) -> Sequence[InputSpec]:
        """Return what a job's program takes; raise `NotFound` if it has none."""
        with self._engine.access(_request(self._current(job), ())) as access:
            return access.inputs

    def check(self, job: JobId, version: str) -> None:
        """Raise what `infer` raises for this version, without running the model."""
        self.inputs(job)
        name = self._name(job, version)
        self._engine.library.locate(self._current(job).job, name)

    def jobs(self) -> list[JobId]:
        """Return the jobs that have a program."""
        names = sorted(JobId(name) for name in self._store.folders("jobs"))
        return [name for name in names if self._has_program(name)]

    def forget(self, job: JobId) -> None:
        """Forget a deleted job."""
        self._jobs.pop(job, None)

    def _has_program(self, job: JobId) -> bool:
        try:
            self._current(job)
        except NotFound:
            return False
        return True

    def _name(self, job: JobId, version: str) -> ModelName:
        if version:
            return ModelName.parse(version)
        newest = self._current(job).newest
        if newest is None:
            raise NotEnoughData(f"job {job!r} has no committed round with an aggregate; name a version")
        return newest

    def _current(self, job: JobId) -> _Current:
        current = self._jobs.get(job)
        if current is None or self._clock() - current.read_at > self._refresh_seconds:
            read_at = self._clock()  # before the reads: what changes during them counts as not yet read
            record = self._generations.read(job)
            if current and not record.is_same(current.job):
                # The job was deleted and created anew, and nobody told this predictor to forget the earlier one.
                self._engine.forget_job(job)
                current = None
            program, newest = self._program(record), self._newest(record, current)
            current = self._jobs[job] = _Current(record, program, newest, read_at)
        return current

    def _program(self, job: Job) -> str:
        try:
            return self._files.read(FileName.program(job.home)).sha256
        except NotFound:
            raise NotFound(f"job {job.id!r} has no program; PUT /v1/jobs/{job.id}/model uploads one") from None

    def _newest(self, job: Job, earlier: _Current | None) -> ModelName | None:
        """Return the newest committed aggregate. Only rounds after that of the `earlier` answer are looked at.

        Example: the earlier answer was round 7, and the store has rounds 0 to 9. Round 9 is open and so has no record.
        Round 8 was committed with an aggregate, which is the answer. Had it none, the answer would stay round 7.
        """
        floor = earlier.newest.round if earlier and earlier.newest else -1
        numbers = (int(name) for name in self._store.folders(layout.rounds_prefix(job.home)) if name.isdecimal())
        for number in sorted((number for number in numbers if number > floor), reverse=True):
            try:
                record = load_json(self._store, layout.round_record(job.home, number))
            except NotFound:
                continue
            if record["aggregate"]:
                return ModelName(number, AGGREGATE)
        return earlier.newest if earlier else None


def _request(current: _Current, models: tuple[ModelRef, ...]) -> RunRequest:
    job = current.job
    return RunRequest(job.id, job.schema.digest, current.program, {}, WORKLOAD, Pattern.P1, {}, models, job.generation)


def ordered(inputs: Mapping[str, NDArray[Any]], specs: Sequence[InputSpec]) -> list[NDArray[Any]]:
    """Return the inputs in the program's order. If their names are not the program's, they are taken as they come."""
    names = [spec.name for spec in specs]
    arrays = [inputs[name] for name in names] if set(names) == set(inputs) else list(inputs.values())
    return [np.asarray(array) for array in arrays]
