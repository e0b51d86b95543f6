"""Takes models in: checked, then written to the store and to the shards of their slices from one buffer."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass
from typing import Any

from flstore_core import codec, layout
from flstore_core.errors import (
    Conflict,
    FLStoreError,
    InvalidParameters,
    InvalidTensors,
    PreconditionFailed,
    RoundCommitted,
)
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Member, to_bytes
from flstore_core.schema import Schema
from flstore_core.shard.messages import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from services.gateway.catalog import Catalog
from services.gateway.placement import Placement
from services.gateway.rounds import Opening, Rounds
from services.gateway.shards import Shards

logger = logging.getLogger(__name__)

MAX_METRICS_BYTES = 64 * 1024
"""Longest JSON of one update's metrics."""

ORPHAN_SECONDS = 60.0
"""Tensors without a record that are older than this were left by an upload that was cut off, not by one under way."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an upload."""

    member: Member
    created: bool
    """False where the same bytes were there before."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One body that was received whole."""

    job: Job
    round: int
    client: ClientId
    body: memoryview
    metrics: Mapping[str, Any]


class Ingest:
    """Stores updates and aggregates. Safe to share between threads.

    Args:
        writers: runs the writes to store and shards side by side.
        now: seconds since the epoch.
    """

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        rounds: Rounds,
        placement: Placement,
        shards: Shards,
        writers: Executor,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._rounds = rounds
        self._placement = placement
        self._shards = shards
        self._writers = writers
        self._now = now

    def put(self, upload: Upload) -> Receipt:
        """Store an update, or the round's aggregate; return once the object store has it.

        Raises:
            InvalidTensors, SchemaMismatch: for a body that is not what the job's schema says.
            Conflict: if other bytes are stored under the same name.
            RoundCommitted: if the round takes nothing more.
            StoreUnavailable: if it could not be stored; nothing is then half-written.
        """
        header = _check(upload.job, upload.body)
        metrics = merge_metrics(header.metadata, upload.metrics)
        if earlier := self._earlier(upload):
            return _same_or_conflict(upload, earlier, _digest(upload.body))
        opening = self._rounds.opening(upload.job, upload.round)
        stored = self._writers.submit(self._put_tensors, upload)
        sha256 = _digest(upload.body)
        ref = MemberRef(upload.round, upload.client, sha256, header.data_offset, _num_examples(metrics))
        sent = self._send_slices(upload, ref, opening)
        try:
            stored.result()
            record = Member(upload.client, sha256, len(upload.body), header.data_offset, metrics, self._now())
            return self._put_record(upload, record)
        finally:
            for future in sent:
                future.result()

    def _earlier(self, upload: Upload) -> Member | None:
        """Return the record of an upload of the same name; raise `RoundCommitted` if the round takes no new one."""
        job, number, client = upload.job.id, upload.round, upload.client
        earlier = self._rounds.member(job, number, client)
        if earlier is None and self._rounds.record(job, number):
            raise RoundCommitted(f"round {number} of job {job!r} is committed; {client!r} cannot join it any more")
        return earlier

    def _put_tensors(self, upload: Upload) -> None:
        key = layout.tensors(upload.job.id, upload.round, upload.client)
        try:
            self._store.put(key, upload.body, if_none_match=True)
        except PreconditionFailed:
            self._adopt(key, upload)

    def _adopt(self, key: str, upload: Upload) -> None:
        """Make tensors that lie there without a record this upload's own: the same bytes, or an abandoned upload's."""
        info = self._store.stat(key)
        if info.size == len(upload.body) and _digest_of_object(self._store, key) == _digest(upload.body):
            return
        if (
            self._rounds.member(upload.job.id, upload.round, upload.client)
            or self._now() - info.modified < ORPHAN_SECONDS
        ):
            raise _conflict(upload)
        self._store.put(key, upload.body, if_match=info.etag)

    def _put_record(self, upload: Upload, record: Member) -> Receipt:
        job, number, client = upload.job.id, upload.round, upload.client
        key = layout.member(job, number, client)
        try:
            self._store.put(key, to_bytes(record.to_json()), if_none_match=True)
        except PreconditionFailed:
            earlier = self._rounds.member(job, number, client)
            return _same_or_conflict(upload, earlier or record, record.sha256)
        if self._rounds.is_closing(job, number) and not self._made_it(job, number, client):
            self._store.delete(key)
            self._store.delete(layout.tensors(job, number, client))
            raise RoundCommitted(f"round {number} of job {job!r} was being committed when {client!r} arrived")
        return Receipt(record, created=True)

    def _made_it(self, job: JobId, number: int, client: ClientId) -> bool:
        """Say whether a commit that ran meanwhile has counted the member in."""
        record = self._rounds.record(job, number)
        if record is None:
            return False
        return client in record.by_client or (record.aggregate is not None and record.aggregate.client == client)

    def _send_slices(self, upload: Upload, ref: MemberRef, opening: Opening) -> list[Future[None]]:
        """Hand the slices to their shards; what does not get there is read from the store when it is needed."""
        job = upload.job
        try:
            assignment = self._placement.of(job.id)
            base = None if opening.base is None else self._rounds.aggregate_of(job.id, opening.base)
        except FLStoreError as error:
            logger.warning("slices not sent", extra={"job": job.id, "error": error.detail})
            return []
        data = upload.body[ref.data_offset :]
        futures = []
        for index in range(assignment.slices):
            part = SliceRef(job.id, job.schema.digest, assignment.slices, index)
            urls = self._placement.addresses(assignment, index)
            futures.append(self._writers.submit(self._send_slice, urls, part, ref, base, pack(data, job.schema, part)))
        return futures

    def _send_slice(self, urls: list[str], part: SliceRef, ref: MemberRef, base: MemberRef | None, body: Any) -> None:
        try:
            self._shards.put_slice(urls, part, ref, base, body)
        except FLStoreError as error:
            logger.warning("slice not sent", extra={"job": part.job, "slice": part.index, "error": error.detail})


def pack(data: memoryview, schema: Schema, part: SliceRef) -> bytes | memoryview:
    """Return a slice's packed bytes out of a data section; a view unless the slice lies in pieces."""
    pieces = [data[run.offset : run.offset + run.nbytes] for run in schema.runs(*part.bounds(schema))]
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


def merge_metrics(metadata: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return an update's metrics: those in the file's `__metadata__["metrics"]`, overridden by those `given`.

    Raises:
        InvalidParameters: if they are not a JSON object of finite numbers, text, lists and objects, are too long, or
            `num_examples` is not a number above 0.
    """
    try:
        inside = json.loads(metadata.get("metrics", "{}"))
    except (ValueError, RecursionError) as error:
        raise InvalidParameters('__metadata__["metrics"] is not JSON') from error
    if not isinstance(inside, dict):
        raise InvalidParameters('__metadata__["metrics"] must be a JSON object')
    metrics = {**inside, **given}
    if (length := len(to_bytes(metrics))) > MAX_METRICS_BYTES:
        raise InvalidParameters(f"metrics take {length} bytes; at most {MAX_METRICS_BYTES} are kept")
    _num_examples(metrics)
    return metrics


def _num_examples(metrics: Mapping[str, Any]) -> float:
    value = metrics.get("num_examples", 1.0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e15:
        raise InvalidParameters(f"num_examples is {value!r}; use a number above 0")
    return float(value)


def _check(job: Job, body: memoryview) -> codec.Header:
    header = codec.parse(body)
    job.schema.check(header.schema)
    if name := codec.first_nonfinite(body, header):
        raise InvalidTensors(f"tensor {name!r} has a NaN or an infinity; send finite numbers only", tensor=name)
    return header


def _same_or_conflict(upload: Upload, earlier: Member, sha256: str) -> Receipt:
    if earlier.sha256 != sha256:
        raise _conflict(upload)
    return Receipt(earlier, created=False)


def _conflict(upload: Upload) -> Conflict:
    return Conflict(
        f"round {upload.round} of job {upload.job.id!r} has other bytes from {upload.client!r}; "
        "an update cannot be replaced"
    )


def _digest(body: memoryview) -> str:
    return hashlib.sha256(body).hexdigest()


def _digest_of_object(store: ObjectStore, key: str) -> str:
    digest = hashlib.sha256()
    for chunk in store.stream(key):
        digest.update(chunk)
    return digest.hexdigest()
