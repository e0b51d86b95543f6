"""Stores artifacts: models that workloads made, in the job's own schema. An answer links to them.

An artifact's metadata lists the updates that it was made of, so that it is deleted when one of their clients is erased.
A question may have read an update just before the erasure, and write a model of it just after. Here too both sides
leave a mark before they look: an erasure writes its tombstone, and later looks for artifacts; a question writes its
artifact, and then looks for tombstones that it did not know when it read the rounds (`Watch`). One of them is sure to
see the other, and the artifact goes. The question is then answered anew.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial

import numpy as np

from flstore_core import buffers, codec, flat, layout
from flstore_core.errors import FLStoreError, Forbidden, NotFound, StoreUnavailable
from flstore_core.flat import NUMPY_DTYPE, Float32
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, object_name
from flstore_core.records import Job
from flstore_core.schema import FLOATS
from flstore_core.shard.protocol import MemberRef
from flstore_core.storage import ObjectStore
from flstore_core.workloads import ArtifactLink, ArtifactWriter
from services.gateway.rounds.index import ErasedMeanwhile

Watch = Callable[[], object]
"""Raises `ErasedMeanwhile` if a client was erased since the rounds of a question were read."""

Keep = Callable[[memoryview, str], ArtifactLink]
"""Takes a model that a workload made, a safetensors file and its SHA-256, and returns a link to it."""


def writer(
    store: ObjectStore,
    job: Job,
    donor: MemberRef | None,
    base: MemberRef | None = None,
    watch: Watch = lambda: None,
    keep: Keep | None = None,
) -> ArtifactWriter:
    """Return a function that writes a flat vector as a safetensors file, named by its content's hash.

    Args:
        keep: takes the file, which then has no metadata; by default it is stored as an artifact.
        watch: is called when an artifact has been written. If it raises, the artifact is deleted again.
        donor: a stored model. A flat vector has floats only, so the other tensors, such as counters, are copied from
            this model. If it is None, they are zeros.
        base: the model to add to the donor, if that is a difference.
    """

    def write(vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
        # An artifact says what it was made of. A model that is handed to all clients must not name them to each other.
        header = codec.encode_header(job.schema, {"flstore": json.dumps(dict(metadata))} if keep is None else None)
        body: memoryview = buffers.empty(len(header) + job.schema.nbytes, np.uint8).data
        body[: len(header)] = header
        data = body[len(header) :]
        _fill_floats(data, job, vector)
        _fill_others(data, job, partial(_read, store, job, donor) if donor else _zero)
        if base:
            _add_others(data, job, partial(_read, store, job, base))
        sha256 = hashlib.sha256(body).hexdigest()
        if keep is None:
            return _store(store, job, watch, body, sha256)
        watch()
        return keep(body, sha256)

    return write


def _store(store: ObjectStore, job: Job, watch: Watch, body: memoryview, sha256: str) -> ArtifactLink:
    key = layout.artifact(job.home, sha256[:32])
    store.put(key, body)
    Generations(store).require(job)
    try:
        watch()
    except ErasedMeanwhile:
        store.delete(key)
        raise
    return ArtifactLink(f"/v1/jobs/{job.id}/artifacts/{sha256[:32]}", sha256, len(body), job.schema.parameters)


def refuse(vector: Sequence[Float32], metadata: Mapping[str, str]) -> ArtifactLink:
    """Take the place of a writer where the caller may only read."""
    raise Forbidden("this workload writes a model, and the token may read, not write")


def delete(store: ObjectStore, job: Job, name: str) -> None:
    """Delete an artifact; raise `NotFound` if there is none."""
    key = layout.artifact(job.home, object_name("artifact", name))
    store.stat(key)
    store.delete(key)


def find_made_of(store: ObjectStore, job: Job, client: ClientId, *, unknown: bool = False) -> list[str]:
    """Return the keys of a job's artifacts that were made of updates of a client.

    Args:
        unknown: whether to return those too whose metadata does not say what they were made of.
    """
    keys = [info.key for info in store.list(layout.artifacts_prefix(job.home))]
    return [key for key in keys if _is_made_of(store, key, client, unknown=unknown)]


def forget_client(store: ObjectStore, job: Job, client: ClientId, rounds: Collection[int]) -> list[str]:
    """Delete a job's artifacts that were made of updates of a client; return their keys.

    If the client took part in any of `rounds`, this includes artifacts that do not say what they were made of.
    """
    keys = find_made_of(store, job, client, unknown=bool(rounds))
    for key in keys:
        store.delete(key)
    return keys


def _is_made_of(store: ObjectStore, key: str, client: ClientId, *, unknown: bool) -> bool:
    try:
        return any(name == client for _, name, _ in json.loads(_read_metadata(store, key)["inputs"]))
    except NotFound:  # somebody has deleted it
        return False
    except StoreUnavailable:
        raise
    except (FLStoreError, ValueError, KeyError, TypeError):
        return unknown


def read_metadata(store: ObjectStore, job: Job, name: str) -> Mapping[str, str]:
    """Return the metadata that an artifact was written with; raise `NotFound` if there is no such artifact."""
    return _read_metadata(store, layout.artifact(job.home, object_name("artifact", name)))


def _read_metadata(store: ObjectStore, key: str) -> Mapping[str, str]:
    length = int.from_bytes(store.get(key, length=8), "little")
    header = codec.parse_header(memoryview(store.get(key, length=8 + length)))
    return {str(name): str(value) for name, value in json.loads(header.metadata.get("flstore", "{}")).items()}


def _fill_floats(data: memoryview, job: Job, vector: Sequence[Float32]) -> None:
    """Write each element of the flat vector, which comes in consecutive pieces, to its place in the file.

    Example: the file has the tensors a (2 floats), n (1 integer) and b (3 floats), so the vector has 5 elements. The
    piece [2, 5) of the vector is all of b, and goes behind n.
    """
    start = 0
    for piece in vector:
        for run in job.schema.runs(start, start + len(piece)):
            values = flat.from_float32(piece[run.start - start : run.start - start + run.count], run.dtype)
            np.frombuffer(data, values.dtype, run.count, run.offset)[:] = values
        start += len(piece)
    if start != job.schema.parameters:
        raise ValueError(f"the vector has {start} elements; the schema has {job.schema.parameters}")


def _fill_others(data: memoryview, job: Job, read: Callable[[int, memoryview], None]) -> None:
    """Fill the tensors that are not floats. `read(offset, target)` fills `target`, which lies at `offset` in `data`."""
    offset = 0
    for tensor in job.schema.tensors:
        if tensor.dtype not in FLOATS and tensor.nbytes:
            read(offset, data[offset : offset + tensor.nbytes])
        offset += tensor.nbytes


def _add_others(data: memoryview, job: Job, read: Callable[[int, memoryview], None]) -> None:
    """Add another model's integers to those in `data`. They wrap, as they did when a client subtracted them; flags have
    no difference and stay as they are.
    """
    offset = 0
    for tensor in job.schema.tensors:
        if tensor.dtype not in FLOATS and tensor.dtype != "BOOL" and tensor.nbytes:
            ours = np.frombuffer(data[offset : offset + tensor.nbytes], NUMPY_DTYPE[tensor.dtype])
            theirs = np.empty_like(ours)
            read(offset, theirs.view(np.uint8).data)
            np.add(ours, theirs, out=ours)
        offset += tensor.nbytes


def _zero(_: int, target: memoryview) -> None:
    np.frombuffer(target, np.uint8)[:] = 0


def _read(store: ObjectStore, job: Job, donor: MemberRef, start: int, target: memoryview) -> None:
    store.read_into(donor.file(job.home), target, offset=donor.data_offset + start)
