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
    Unavailable,
)
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Member, Round, to_bytes
from flstore_core.schema import Schema
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from services.gateway.backends.placement import Placement
from services.gateway.backends.shards import Shards
from services.gateway.rounds.records import Opening, Rounds

logger = logging.getLogger(__name__)

MAX_METRICS_BYTES = 64 * 1024
"""Longest JSON of one update's metrics."""

HEADER_SLACK_BYTES = 2**20
"""How much longer a header may be than that of the job's schema: for metadata, and other ways to write JSON."""

COMMIT_POLLS, COMMIT_POLL_S = 100, 0.05
"""How often, and in what intervals, an upload looks how a commit that overtook it ends."""

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
        sleep: waits the given seconds.
    """

    def __init__(
        self,
        store: ObjectStore,
        rounds: Rounds,
        placement: Placement,
        shards: Shards,
        writers: Executor,
        now: Callable[[], float],
        sleep: Callable[[float], None],
    ) -> None:
        self._store = store
        self._rounds = rounds
        self._placement = placement
        self._shards = shards
        self._writers = writers
        self._now = now
        self._sleep = sleep

    def put(self, upload: Upload) -> Receipt:
        """Store an update, or the round's aggregate; return once the object store has it.

        Raises:
            InvalidTensors, SchemaMismatch: for a body that is not what the job's schema says.
            Conflict: if other bytes are stored under the same name.
            RoundCommitted: if the round takes nothing more.
            StoreUnavailable: if it could not be stored; nothing is then half-written.
            Unavailable: if the round is being committed, and it cannot be said yet whether with the update.
        """
        header = _check(upload.job, upload.body)
        metrics = merge_metrics(header.metadata, upload.metrics)
        if earlier := self._rounds.member(upload.job.id, upload.round, upload.client):
            receipt = _same_or_conflict(upload, earlier, _digest(upload.body))
            self._check_counted(upload)
            return receipt
        opening = self._rounds.opening(upload.job, upload.round)
        if opening.closing and self._commit_of(upload):
            raise _too_late(upload)
        return self._store_all(upload, header, metrics, opening)

    def _store_all(self, upload: Upload, header: codec.Header, metrics: Mapping[str, Any], opening: Opening) -> Receipt:
        """Write to store and shards at once; the record last, which makes it count."""
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
        self._check_counted(upload)
        return Receipt(record, created=True)

    def _check_counted(self, upload: Upload) -> None:
        """Remove a stored update and raise `RoundCommitted` if a commit has passed it over."""
        committed = self._commit_of(upload)
        if committed is None or _holds(committed, upload.client):
            return
        self._store.delete(layout.member(upload.job.id, upload.round, upload.client))
        self._store.delete(layout.tensors(upload.job.id, upload.round, upload.client))
        raise _too_late(upload)

    def _commit_of(self, upload: Upload) -> Round | None:
        """Return the round's record if a commit has begun, waiting until it has ended; None otherwise."""
        for _ in range(COMMIT_POLLS):
            if not self._rounds.is_closing(upload.job.id, upload.round):
                return None
            if record := self._rounds.record(upload.job.id, upload.round):
                return record
            self._sleep(COMMIT_POLL_S)
        raise Unavailable(
            f"round {upload.round} of job {upload.job.id!r} is being committed; send the update again to learn whether "
            "it is part of it, and the commit if it broke off"
        )

    def _send_slices(self, upload: Upload, ref: MemberRef, opening: Opening) -> list[Future[None]]:
        """Hand the slices to their shards; what does not get there is read from the store when it is needed."""
        job = upload.job
        try:
            assignment = self._placement.find_or_place(job.id)
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

    def _send_slice(
        self, urls: list[str], part: SliceRef, ref: MemberRef, base: MemberRef | None, body: list[memoryview]
    ) -> None:
        try:
            self._shards.put_slice(urls, part, ref, base, body)
        except FLStoreError as error:
            logger.warning("slice not sent", extra={"job": part.job, "slice": part.index, "error": error.detail})


def pack(data: memoryview, schema: Schema, part: SliceRef) -> list[memoryview]:
    """Return the pieces of a data section that make up a slice, one after the other."""
    return [data[run.offset : run.offset + run.nbytes] for run in schema.runs(*part.bounds(schema))]


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
    header = codec.parse(body, len(codec.encode_header(job.schema)) + HEADER_SLACK_BYTES)
    job.schema.check(header.schema)
    if name := codec.first_nonfinite(body, header):
        raise InvalidTensors(
            f"tensor {name!r} has a NaN, an infinity or a number beyond float32's range; send finite numbers only",
            tensor=name,
        )
    return header


def _holds(record: Round, client: ClientId) -> bool:
    return client in record.by_client or (record.aggregate is not None and client == AGGREGATE)


def _too_late(upload: Upload) -> RoundCommitted:
    return RoundCommitted(
        f"round {upload.round} of job {upload.job.id!r} is committed; {upload.client!r} cannot join it any more"
    )


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
