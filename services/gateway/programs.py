"""Checks, stores, describes and deletes the programs that run jobs' models, and the data sets to evaluate models on."""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Any

from flstore_core import codec, layout
from flstore_core.errors import InvalidTensors, NotFound, unknown
from flstore_core.generations import Generations
from flstore_core.models.archive import read_archive
from flstore_core.models.matching import sources
from flstore_core.models.program import parse_program
from flstore_core.records import Job, from_known
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json, save_json
from services.common.timing import Time


@dataclass(frozen=True, slots=True)
class StoredFile:
    """The record of a stored program or data set."""

    sha256: str
    nbytes: int
    about: Mapping[str, Any]
    """A program's inputs and number of operators, or a data set's tensors."""
    stored_at: float
    """Seconds since the epoch."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


class Programs:
    """Keeps jobs' programs and data sets. Safe to share between threads."""

    def __init__(self, store: ObjectStore, time: Time) -> None:
        self._store = store
        self._generations = Generations(store)
        self._time = time

    def put_program(self, job: Job, body: memoryview) -> tuple[StoredFile, bool]:
        """Store a job's program in place of an earlier one; return its record, and whether it is new.

        Raises:
            InvalidProgram: if it cannot be run. Nothing in it is executed to find that out.
            SchemaMismatch: if its parameters are not those of the job's updates.
            NotFound: if the job was deleted meanwhile.
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
        return self._put(job, layout.program(job.home), layout.program_record(job.home), data, about)

    def put_dataset(self, job: Job, name: str, body: memoryview) -> tuple[StoredFile, bool]:
        """Store a data set in place of an earlier one; return its record, and whether it is new.

        Raises:
            InvalidTensors: unless it is a safetensors file with a tensor `inputs`, all of whose tensors have the same
                number of rows, at least one.
            NotFound: if the job was deleted meanwhile.
        """
        schema = codec.parse(body).schema
        tensors = {spec.name: {"dtype": spec.dtype, "shape": list(spec.shape)} for spec in schema.tensors}
        rows = {spec.shape[0] if spec.shape else 0 for spec in schema.tensors}
        if "inputs" not in tensors or len(rows) != 1 or 0 in rows:
            shapes = ", ".join(f"{spec.name} {list(spec.shape)}" for spec in schema.tensors)
            raise InvalidTensors(
                "a data set needs a tensor `inputs`, usually `targets`, and the same number of rows in every tensor; "
                f"the tensors of this one: {shapes or 'none'}"
            )
        key, record_key = layout.dataset(job.home, name), layout.dataset_record(job.home, name)
        return self._put(job, key, record_key, body, {"tensors": tensors})

    def read_program(self, job: Job) -> StoredFile:
        """Return the record of a job's program; raise `NotFound` if it has none."""
        try:
            return from_known(StoredFile, load_json(self._store, layout.program_record(job.home)))
        except NotFound:
            raise NotFound(f"job {job.id!r} has no program; PUT /v1/jobs/{job.id}/model uploads one") from None

    def read_dataset(self, job: Job, name: str) -> StoredFile:
        """Return the record of a data set; raise `NotFound`, which suggests the nearest names."""
        try:
            return from_known(StoredFile, load_json(self._store, layout.dataset_record(job.home, name)))
        except NotFound:
            raise unknown("data set", name, self._dataset_names(job)) from None

    def read_datasets(self, job: Job) -> dict[str, StoredFile]:
        """Return the records of a job's data sets by name, without those that somebody deletes meanwhile."""
        records = {}
        for name in sorted(self._dataset_names(job)):
            with suppress(NotFound):
                records[name] = self.read_dataset(job, name)
        return records

    def delete_program(self, job: Job) -> None:
        """Delete a job's program; raise `NotFound` if it has none."""
        self.read_program(job)
        self._store.delete(layout.program_record(job.home))
        self._store.delete(layout.program(job.home))

    def delete_dataset(self, job: Job, name: str) -> None:
        """Delete a data set; raise `NotFound`, which suggests the nearest names."""
        self.read_dataset(job, name)
        self._store.delete(layout.dataset_record(job.home, name))
        self._store.delete(layout.dataset(job.home, name))

    def _put(
        self, job: Job, key: str, record_key: str, body: bytes | memoryview, about: Mapping[str, Any]
    ) -> tuple[StoredFile, bool]:
        """Store a file and then its record, unless these very bytes are stored.

        The record goes last here, and first where a file is deleted, so a record always has a file beside it.
        """
        sha256 = hashlib.sha256(body).hexdigest()
        try:
            earlier = from_known(StoredFile, load_json(self._store, record_key))
        except NotFound:
            earlier = None
        if earlier and earlier.sha256 == sha256:
            return earlier, False
        record = StoredFile(sha256, len(body), about, self._time.now())
        self._store.put(key, body)
        save_json(self._store, record_key, record.to_json())
        self._generations.require(job)
        return record, True

    def _dataset_names(self, job: Job) -> Iterator[str]:
        for info in self._store.list(layout.datasets_prefix(job.home)):
            name = info.key.rpartition("/")[2]
            if name.endswith(".json"):
                yield name.removesuffix(".json")
