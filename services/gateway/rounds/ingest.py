"""Takes updates and aggregates in: acknowledged once the object store has them and the round will count them.

**The objects of one update.** Its tensors, and a small record beside them that holds their hash. Both are only ever
created, by conditional writes. The record makes an update count: commits list records, and tensors without a record
are nobody's.

**The steps of a put, and why they come in this order.**

1. The body is checked. Nothing is written for a bad one.
2. If there is a record, this is a repeat: the same bytes go to step 6, others are refused.
3. The round is opened, or its opening read. If that has the commit mark, the round's record is waited for, and tells
   whether this is a repeat after all or too late.
4. The tensors are written, while the body is hashed and its slices are sent to their shards, all from one buffer.
   Shards are told early so that they work out statistics while the store writes; what does not get there they read
   from the store later, so a shard that fails is no error.
5. The record is written, after the tensors: where it is, they are whole.
6. The opening is read once more. Without a commit mark the update is acknowledged. With it, a commit may have listed
   the round's members before step 5: the upload waits for the round's record. If the record names the client, the
   update is acknowledged; if not, it is removed and refused.

**Why no acknowledged update is left out.** A commit sets the mark and then lists. An upload writes its record and then
looks for the mark. Whatever the order, one of the two sees the other:

    upload: record ──▶ mark?                     commit: mark ──▶ list
    record, mark?, mark, list    no mark seen: acknowledged, and the list, which is later, has it
    record, mark, mark?, list    mark seen: waits; the list has it: acknowledged
    mark, list, record, mark?    mark seen: waits; the list has it not: removed and refused

Whatever acknowledges takes step 6 last, a repeat too: the record that it found may be one that another upload of the
same bytes is about to remove.

**Cut-off uploads.** Tensors without a record block their client's name. A new upload adopts them if they are the very
bytes, and replaces them if they are older than `ORPHAN_SECONDS`, which an upload under way never is.
"""

import hashlib
import logging
from concurrent.futures import Future
from dataclasses import dataclass

from flstore_core import layout
from flstore_core.errors import (
    Conflict,
    FLStoreError,
    NotFound,
    PreconditionFailed,
    RoundCommitted,
    Unavailable,
)
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Round, to_bytes
from flstore_core.retry import Retry
from flstore_core.schema import Schema
from flstore_core.shard.protocol import MemberRef, SliceRef
from flstore_core.storage import ObjectStore
from services.common.timing import Time
from services.gateway.backends.slices import Backends, HeldSlice
from services.gateway.rounds.opening import Opening, Rounds
from services.gateway.rounds.upload import CheckedUpload, Upload, check
from services.gateway.threads import Pools

logger = logging.getLogger(__name__)

COMMIT_POLLS = 100
"""How often an upload looks whether a commit that it came upon has ended."""
COMMIT_POLL_SECONDS = 0.05
"""Seconds between two looks: about 5 seconds in all."""

ORPHAN_SECONDS = 60.0
"""Age at which tensors without a record count as left by an upload that was cut off."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of an upload."""

    member: Member
    created: bool
    """False where the same bytes were stored before."""


class Ingest:
    """Stores updates and aggregates. Safe to share between threads."""

    def __init__(self, rounds: Rounds, backends: Backends, pools: Pools, time: Time) -> None:
        self._store = rounds.store
        self._records = rounds.records
        self._openings = rounds.openings
        self._backends = backends
        self._writers = pools.writers
        self._time = time
        self._polling = Retry((COMMIT_POLL_SECONDS,), attempts=COMMIT_POLLS, clock=time.monotonic, sleep=time.sleep)

    def put(self, upload: Upload) -> Receipt:
        """Store an update, or the round's aggregate; return once the object store has it.

        Raises:
            InvalidTensors, SchemaMismatch, InvalidParameters: as `services.gateway.rounds.upload.check`.
            Conflict: if other bytes are stored under the same name.
            RoundCommitted: if the round was committed without the upload.
            StoreUnavailable: if the store failed. Sending the upload again is safe.
            Unavailable: if it cannot be said yet whether the commit under way has the upload in it.
            NotFound: if the job was deleted meanwhile.
        """
        checked = check(upload)
        if earlier := self._records.read_member(upload.job.id, upload.round, upload.client):
            _refuse_other_bytes(upload, earlier, _digest(upload.body))
            self._require_counted(upload)
            return Receipt(earlier, created=False)
        opening = self._openings.open_round(upload.job.id, upload.round)
        if opening.commit_begun and (committed := self._await_commit(upload)):
            return _find_repeat(upload, committed)
        return self._store_all(checked, opening)

    def _store_all(self, checked: CheckedUpload, opening: Opening) -> Receipt:
        """Write to store and shards at once; the record last, which makes the upload count."""
        upload = checked.upload
        tensors = self._writers.submit(self._put_tensors, upload)
        sha256 = _digest(upload.body)
        ref = MemberRef(upload.round, upload.client, sha256, checked.data_offset, checked.num_examples)
        slices = self._send_slices(upload, ref, opening)
        try:
            tensors.result()
            received_at = self._time.now()
            member = Member(upload.client, sha256, len(upload.body), checked.data_offset, checked.metrics, received_at)
            return self._put_record(upload, member)
        finally:
            for future in slices:
                future.result()

    def _put_tensors(self, upload: Upload) -> None:
        key = layout.tensors(upload.job.id, upload.round, upload.client)
        while True:
            try:
                self._store.put(key, upload.body, if_none_match=True)
                return
            except PreconditionFailed:
                if self._adopt(key, upload):
                    return

    def _adopt(self, key: str, upload: Upload) -> bool:
        """Make stored tensors this upload's own; False if they have been removed or replaced meanwhile.

        Raises:
            Conflict: if they are other bytes, and not left by an upload that was cut off.
        """
        try:
            info = self._store.stat(key)
            if info.size == len(upload.body) and _digest_of_object(self._store, key) == _digest(upload.body):
                return True
            if self._time.now() - info.modified < ORPHAN_SECONDS or self._has_record(upload):
                raise _conflict(upload)
            self._store.put(key, upload.body, if_match=info.etag)
        except (NotFound, PreconditionFailed):
            return False
        return True

    def _has_record(self, upload: Upload) -> bool:
        return self._records.read_member(upload.job.id, upload.round, upload.client) is not None

    def _put_record(self, upload: Upload, member: Member) -> Receipt:
        key = layout.member(upload.job.id, upload.round, upload.client)
        try:
            self._store.put(key, to_bytes(member.to_json()), if_none_match=True)
        except PreconditionFailed:
            return self._join_other(upload, member)
        self._require_counted(upload)
        return Receipt(member, created=True)

    def _join_other(self, upload: Upload, member: Member) -> Receipt:
        """Return the receipt of an upload that wrote its record while this one was under way."""
        other = self._records.read_member(upload.job.id, upload.round, upload.client)
        if other:
            _refuse_other_bytes(upload, other, member.sha256)
        self._require_counted(upload)
        if not other:
            raise Unavailable(f"{upload.client!r} was removed from {upload} while it was sent; send it again")
        return Receipt(other, created=False)

    def _require_counted(self, upload: Upload) -> None:
        """Remove a stored upload and raise `RoundCommitted` if the round was committed without it."""
        committed = self._await_commit(upload)
        if committed is None or _find_member(committed, upload.client):
            return
        self._store.delete(layout.member(upload.job.id, upload.round, upload.client))
        self._store.delete(layout.tensors(upload.job.id, upload.round, upload.client))
        raise _too_late(upload)

    def _await_commit(self, upload: Upload) -> Round | None:
        """Return the round's record once it is there; None if no commit has begun."""
        polls = self._polling.begin()
        while self._openings.has_commit_begun(upload.job.id, upload.round):
            if record := self._records.read_record(upload.job.id, upload.round):
                return record
            if not polls.failed():
                raise _undecided(upload)
            polls.wait()
        return None

    def _send_slices(self, upload: Upload, ref: MemberRef, opening: Opening) -> list[Future[None]]:
        """Hand the slices to their shards; what does not get there is read from the store when it is needed."""
        job = upload.job
        try:
            slices = self._backends.locate_slices(job)
            base = None if opening.base is None else self._records.locate_aggregate(job.id, opening.base)
        except FLStoreError as error:
            logger.warning("slices not sent", extra={"job": job.id, "error": error.detail})
            return []
        data = upload.body[ref.data_offset :]
        return [
            self._writers.submit(self._send_slice, held, ref, base, pack(data, job.schema, held.part))
            for held in slices
        ]

    def _send_slice(self, held: HeldSlice, ref: MemberRef, base: MemberRef | None, body: list[memoryview]) -> None:
        try:
            self._backends.shards.put_slice(held.urls, held.part, ref, base, body)
        except FLStoreError as error:
            logger.warning(
                "slice not sent", extra={"job": held.part.job, "slice": held.part.index, "error": error.detail}
            )


def pack(data: memoryview, schema: Schema, part: SliceRef) -> list[memoryview]:
    """Return the pieces of a data section that make up a slice, in order, without copying."""
    return [data[run.offset : run.offset + run.nbytes] for run in schema.runs(*part.bounds(schema))]


def _find_member(record: Round, client: ClientId) -> Member | None:
    return record.aggregate if client == AGGREGATE else record.by_client.get(client)


def _find_repeat(upload: Upload, committed: Round) -> Receipt:
    """Return the receipt of an upload that the committed round has already; raise `RoundCommitted` if it has not."""
    member = _find_member(committed, upload.client)
    if member is None:
        raise _too_late(upload)
    _refuse_other_bytes(upload, member, _digest(upload.body))
    return Receipt(member, created=False)


def _refuse_other_bytes(upload: Upload, stored: Member, sha256: str) -> None:
    if stored.sha256 != sha256:
        raise _conflict(upload)


def _conflict(upload: Upload) -> Conflict:
    return Conflict(f"{upload} has other bytes from {upload.client!r}; an update cannot be replaced")


def _too_late(upload: Upload) -> RoundCommitted:
    return RoundCommitted(f"{upload} is committed; {upload.client!r} cannot join it any more")


def _undecided(upload: Upload) -> Unavailable:
    return Unavailable(
        f"{upload} is being committed; send the update again to learn whether it is part of it, and the commit if it "
        "broke off"
    )


def _digest(body: memoryview) -> str:
    return hashlib.sha256(body).hexdigest()


def _digest_of_object(store: ObjectStore, key: str) -> str:
    digest = hashlib.sha256()
    for chunk in store.stream(key):
        digest.update(chunk)
    return digest.hexdigest()
