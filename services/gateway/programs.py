"""Programs and data sets of jobs, and the workloads that run models: resolved here, run in a predictor."""

import hashlib
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from flstore_core import codec, layout
from flstore_core.errors import InvalidTensors, NoPredictor, NotEnoughData, NotFound, unknown
from flstore_core.ids import AGGREGATE, JobId
from flstore_core.model_names import ModelName
from flstore_core.models.archive import read_archive
from flstore_core.models.matching import sources
from flstore_core.models.program import parse_program
from flstore_core.models.protocol import ModelRef, RunRequest
from flstore_core.records import Job
from flstore_core.shard.protocol import Work
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json, save_json
from flstore_core.workloads import ModelWorkload, Partial, Progress, RoundData
from services.gateway.backends.placement import Placement
from services.gateway.backends.predictors import Predictors
from services.gateway.rounds.records import Records


@dataclass(frozen=True, slots=True)
class Stored:
    """What is told of a stored program or data set."""

    sha256: str
    nbytes: int
    about: Mapping[str, Any]
    """A program's inputs and operators, or a data set's tensors."""
    stored_at: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Models:
    """Keeps programs and data sets, and has models run. Safe to share between threads."""

    def __init__(self, store: ObjectStore, records: Records, placement: Placement, predictors: Predictors) -> None:
        self._store = store
        self._records = records
        self._placement = placement
        self._predictors = predictors

    def put_program(self, job: Job, body: memoryview) -> tuple[Stored, bool]:
        """Store a job's program in place of an earlier one; return its record, and whether it is another.

        Raises:
            InvalidProgram: if it is not one that can be run; nothing in it is executed to find out.
            SchemaMismatch: if its parameters are not those of the job's updates.
        """
        data = bytes(body)
        archive = read_archive(data)
        program = parse_program(archive.program)
        matched = sources(program, archive, job.schema)
        about = {
            "inputs": [{"name": i.name, "dtype": i.dtype, "shape": list(i.shape)} for i in program.inputs],
            "outputs": len(program.outputs),
            "operators": len(program.nodes),
            "stored": len(matched.stored),
            "adapted": len(matched.adapted),
            "frozen": len(matched.frozen),
        }
        return self._put(layout.program(job.id), layout.program_record(job.id), data, about)

    def put_dataset(self, job: Job, name: str, body: memoryview) -> tuple[Stored, bool]:
        """Store a data set in place of an earlier one; return its record, and whether it is another.

        Raises:
            InvalidTensors: if it is no safetensors file with `inputs`, and the same number of rows in every tensor.
        """
        schema = codec.parse(body).schema
        tensors = {spec.name: {"dtype": spec.dtype, "shape": list(spec.shape)} for spec in schema.tensors}
        rows = {spec.shape[0] if spec.shape else 0 for spec in schema.tensors}
        if "inputs" not in tensors or len(rows) != 1 or 0 in rows:
            found = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in schema.tensors)
            raise InvalidTensors(
                "a data set has a tensor `inputs` and mostly `targets`, all with the same number of rows; "
                f"this one has {found or 'none'}"
            )
        return self._put(layout.dataset(job.id, name), layout.dataset_record(job.id, name), body, {"tensors": tensors})

    def program(self, job: JobId) -> Stored:
        """Return the record of a job's program; raise `NotFound` if it has none."""
        try:
            return Stored(**load_json(self._store, layout.program_record(job)))
        except NotFound:
            raise NotFound(f"job {job!r} has no program; PUT /v1/jobs/{job}/model uploads one") from None

    def dataset(self, job: JobId, name: str) -> Stored:
        """Return the record of a data set; raise `NotFound` naming the nearest."""
        try:
            return Stored(**load_json(self._store, layout.dataset_record(job, name)))
        except NotFound:
            raise unknown("data set", name, self._dataset_names(job)) from None

    def datasets(self, job: JobId) -> dict[str, Stored]:
        """Return the records of a job's data sets by name."""
        return {name: self.dataset(job, name) for name in sorted(self._dataset_names(job))}

    def delete_program(self, job: JobId) -> None:
        """Remove a job's program; raise `NotFound` if it has none."""
        self.program(job)
        self._store.delete(layout.program_record(job))
        self._store.delete(layout.program(job))

    def delete_dataset(self, job: JobId, name: str) -> None:
        """Remove a data set; raise `NotFound` naming the nearest."""
        self.dataset(job, name)
        self._store.delete(layout.dataset_record(job, name))
        self._store.delete(layout.dataset(job, name))

    def request(
        self, job: Job, workload: ModelWorkload[Any, Any], params: Any, rounds: Sequence[RoundData]
    ) -> RunRequest:
        """Return what a predictor is to be asked.

        Raises:
            NoPredictor: if this deployment has none.
            NotFound: for a job without a program, or an unknown data set or model.
        """
        if not self._placement.table.predictors:
            raise NoPredictor(
                f"workload {workload.name!r} runs models, and this deployment has no predictor; "
                "pip install 'flstore-server[torch]', or set FLSTORE_PREDICTORS to 1 or more"
            )
        datasets = {name: self.dataset(job.id, name).sha256 for name in workload.datasets(params)}
        names = dict.fromkeys(workload.models(rounds, params))
        if not names:
            raise NotEnoughData("no model was asked for")
        known = {data.record.number: data for data in rounds}
        return RunRequest(
            job=job.id,
            digest=job.schema.digest,
            program=self.program(job.id).sha256,
            datasets=datasets,
            workload=workload.name,
            pattern=workload.pattern,
            params=asdict(params),
            models=tuple(self._ref(job, known, name) for name in names),
        )

    def run(self, request: RunRequest, progress: Progress) -> tuple[Partial, Work]:
        """Have the job's predictor run models."""
        urls = [*self._placement.rank_predictors(request.job).values()]
        return self._predictors.run(urls, request, progress)

    def _ref(self, job: Job, known: Mapping[int, RoundData], name: ModelName) -> ModelRef:
        if name.artifact:
            self._store.stat(layout.artifact(job.id, name.artifact))
            return ModelRef(name, name.artifact)
        data = known.get(name.round)
        if name.client == AGGREGATE:
            aggregate = data.record.aggregate if data else None
            member = aggregate or self._records.read_member(job.id, name.round, AGGREGATE)
        else:
            member = data.record.by_client.get(name.client) if data else None
            member = member or self._records.read_member(job.id, name.round, name.client)
        if member is None:
            raise NotFound(f"job {job.id!r} stores no model {str(name)!r}")
        return ModelRef.of(name, member)

    def _put(
        self, key: str, record_key: str, body: bytes | memoryview, about: Mapping[str, Any]
    ) -> tuple[Stored, bool]:
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            known = Stored(**load_json(self._store, record_key))
        except NotFound:
            known = None
        if known and known.sha256 == sha256:
            return known, False
        record = Stored(sha256, len(body), about, time.time())
        self._store.put(key, body)
        save_json(self._store, record_key, record.to_json())
        return record, True

    def _dataset_names(self, job: JobId) -> Iterator[str]:
        for info in self._store.list(layout.datasets_prefix(job)):
            name = info.key.rpartition("/")[2]
            if name.endswith(".json"):
                yield name.removesuffix(".json")
