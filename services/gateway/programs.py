"""Checks, stores, describes and deletes the programs that run jobs' models, and the data sets to evaluate models on."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from flstore_core import codec, layout
from flstore_core.errors import InvalidTensors, NotFound, unknown
from flstore_core.files import FileName, Files, StoredFile, new_name
from flstore_core.generations import Generations
from flstore_core.models.archive import read_archive
from flstore_core.models.matching import sources
from flstore_core.models.program import parse_program
from flstore_core.records import Job
from flstore_core.storage import ObjectStore
from services.common.timing import Time


class Programs:
    """Keeps jobs' programs and data sets. Safe to share between threads.

    Args:
        name_upload: returns a name that no upload had before.
    """

    def __init__(self, store: ObjectStore, time: Time, name_upload: Callable[[], str] = new_name) -> None:
        self._store = store
        self._files = Files(store, name_upload)
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
        return self._put(job, FileName.program(job.home), data, about)

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
        return self._put(job, FileName.dataset(job.home, name), body, {"tensors": tensors})

    def read_program(self, job: Job) -> StoredFile:
        """Return the record of a job's program; raise `NotFound` if it has none."""
        try:
            return self._files.read(FileName.program(job.home))
        except NotFound:
            raise _no_program(job) from None

    def read_dataset(self, job: Job, name: str) -> StoredFile:
        """Return the record of a data set; raise `NotFound`, which suggests the nearest names."""
        try:
            return self._files.read(FileName.dataset(job.home, name))
        except NotFound:
            raise unknown("data set", name, self.read_datasets(job)) from None

    def read_datasets(self, job: Job) -> dict[str, StoredFile]:
        """Return the records of a job's data sets by name, without those that somebody deletes meanwhile."""
        records = {}
        for name in sorted(self._dataset_names(job)):
            with suppress(NotFound):
                records[name] = self._files.read(FileName.dataset(job.home, name))
        return records

    def delete_program(self, job: Job) -> None:
        """Delete a job's program; raise `NotFound` if it has none."""
        try:
            self._files.delete(FileName.program(job.home))
        except NotFound:
            raise _no_program(job) from None

    def delete_dataset(self, job: Job, name: str) -> None:
        """Delete a data set; raise `NotFound`, which suggests the nearest names."""
        try:
            self._files.delete(FileName.dataset(job.home, name))
        except NotFound:
            raise unknown("data set", name, self.read_datasets(job)) from None

    def _put(
        self, job: Job, name: FileName, body: bytes | memoryview, about: Mapping[str, Any]
    ) -> tuple[StoredFile, bool]:
        stored = self._files.put(name, body, about, self._time.now())
        self._generations.require(job)
        return stored

    def _dataset_names(self, job: Job) -> Iterator[str]:
        """Yield the names of all data sets, deleted ones included."""
        for info in self._store.list(layout.datasets_prefix(job.home)):
            name = info.key.rpartition("/")[2]
            if name.endswith(".json"):
                yield name.removesuffix(".json")


def _no_program(job: Job) -> NotFound:
    return NotFound(f"job {job.id!r} has no program; PUT /v1/jobs/{job.id}/model uploads one")
