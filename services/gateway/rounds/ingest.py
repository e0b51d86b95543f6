"""Stores updates and aggregates. An upload is acknowledged once the store has it and its round is sure to count it.

**The objects of one upload.** There are two: its tensors, and a small *member record* beside them with their hash. A
conditional write creates each. The member record makes the upload count, because a commit lists member records.

**The steps of a put, and the reason for their order.**

1. Check the body before anything is written, so a bad one leaves nothing behind.
2. Look for a member record. If there is one, this upload is a repeat: the same bytes with the same metrics go on to
   step 6, others are refused.
3. Open the round, or read its opening. If the opening has the commit mark, wait for the round's record. It says whether
   this upload is a repeat after all, or comes too late.
4. Write the tensors. Meanwhile, send their slices to the shards, from the same buffer, so shards compute statistics
   while the store writes. Nothing waits for the shards: a shard reads from the store what it was
   not sent.
5. Write the member record. It comes after the tensors, so wherever there is a member record, its tensors are complete.
6. Read the opening again. Without the commit mark, acknowledge. With the mark, a commit may have listed the members
   before step 5, so wait for the round's record. If it names the client, acknowledge. If not, remove the upload and
   refuse it. At the same time, look whether the job still stands: if it was deleted, what steps 4 and 5 wrote is
   removed, and the upload ends with `NotFound` (`flstore_core.generations`).

**Why a commit never omits an acknowledged upload.** A commit sets the mark and then lists. An upload writes its member
record and then looks for the mark. In every order, at least one of the two sees the other:

    order of events                          what the upload sees             what becomes of it
    record, look, mark, list                 no mark                          acknowledged; the list includes it
    record, mark, look, list                 mark, then its name in the list  acknowledged
    mark, list, record, look                 mark, then a list without it     removed and refused

A repeat takes step 6 too. The member record that it found may belong to another upload of the same bytes, one that is
about to be removed.

**Uploads that were cut off** leave tensors without a member record. A later upload for the same name adopts them if the
bytes are the same, and otherwise replaces them once they are `ORPHAN_SECONDS` old.

**What this object layout cannot exclude.** An upload that stalls for longer than `ORPHAN_SECONDS` between steps 4 and
5 can end with a member record for bytes that another upload replaced.
"""

import hashlib
import logging
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
from services.gateway.backends.slices import Backends
from services.gateway.rounds.opening import Opening, Rounds
from services.gateway.rounds.repeats import require_repeat
from services.gateway.rounds.upload import CheckedUpload, Upload, check
from services.gateway.threads import Pools

logger = logging.getLogger(__name__)

COMMIT_POLLS = 100
"""How many times an upload looks for the record of a round that is being committed."""
COMMIT_POLL_SECONDS = 0.05
"""Seconds between two of these looks, so an upload waits about 5 seconds in all."""

ORPHAN_SECONDS = 60.0
"""Tensors that are this old and have no member record were left behind by an upload that was cut off."""


@dataclass(frozen=True, slots=True)
class Receipt:
    """The acknowledgement of an upload."""

    member: Member
    created: bool
    """False if the same update was stored before."""


class Ingest:
    """Stores updates and aggregates. Safe to share between threads."""

    def __init__(self, rounds: Rounds, backends: Backends, pools: Pools, time: Time) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._records = rounds.records
        self._openings = rounds.openings
        self._backends = backends
        self._readers = pools.readers
        self._writers = pools.writers
        self._time = time
        self._polling = Retry((COMMIT_POLL_SECONDS,), attempts=COMMIT_POLLS, clock=time.monotonic, sleep=time.sleep)

    def put(self, upload: Upload) -> Receipt:
        """Store an update or an aggregate, and return once the store has it and its round is sure to count it.

        Raises:
            InvalidTensors, SchemaMismatch, InvalidParameters: as `services.gateway.rounds.upload.check`.
            Conflict: if other bytes or metrics are stored under the same name.
            RoundCommitted: if the round was committed without the upload.
            StoreUnavailable: if the store failed. Sending the upload again is safe.
            Unavailable: if the round is being committed and its record does not appear in time.
            NotFound: if the job was deleted meanwhile.
        """
        checked = check(upload)
        if earlier := self._records.read_member(upload.job, upload.round, upload.client):
            require_repeat(upload, checked.metrics, earlier)
            self._require_counted(upload)
            return Receipt(earlier, created=False)
        opening = self._openings.open_round(upload.job, upload.round)
        if opening.commit_begun and (committed := self._await_commit(upload)):
            return _find_repeat(checked, committed)
        return self._store_all(checked, opening)

    def _store_all(self, checked: CheckedUpload, opening: Opening) -> Receipt:
        """Take steps 4 to 6."""
        upload = checked.upload
        tensors = self._writers.submit(self._put_tensors, upload)
        is_delta = upload.job.is_delta(upload.client)
        ref = MemberRef(upload.round, upload.client, upload.sha256, checked.data_offset, checked.num_examples, is_delta)
        try:
            self._send_slices(upload, ref, opening)
        finally:
            tensors.result()  # in any case: the writer reads the body, which the caller frees as soon as this returns
        member = Member(
            upload.client,
            upload.sha256,
            len(upload.body),
            checked.data_offset,
            checked.metrics,
            self._time.now(),
        )
        return self._put_record(upload, member)

    def _put_tensors(self, upload: Upload) -> None:
        key = layout.tensors(upload.job.home, upload.round, upload.client)
        while True:
            try:
                self._store.put(key, upload.body, if_none_match=True)
                return
            except PreconditionFailed:
                if self._adopt(key, upload):
                    return

    def _adopt(self, key: str, upload: Upload) -> bool:
        """Take over the tensors that are stored under this upload's key.

        Returns:
            False if somebody removed or replaced them meanwhile; then the caller has to begin again.

        Raises:
            Conflict: if their bytes differ from this upload's, unless an upload that was cut off left them.
        """
        try:
            info = self._store.stat(key)
            if info.size == len(upload.body) and _digest_of_object(self._store, key) == upload.sha256:
                return True
            if self._time.now() - info.modified < ORPHAN_SECONDS or self._has_record(upload):
                raise _conflict(upload)
            self._store.put(key, upload.body, if_match=info.etag)
        except (NotFound, PreconditionFailed):
            return False
        return True

    def _has_record(self, upload: Upload) -> bool:
        return self._records.read_member(upload.job, upload.round, upload.client) is not None

    def _put_record(self, upload: Upload, member: Member) -> Receipt:
        key = layout.member(upload.job.home, upload.round, upload.client)
        try:
            self._store.put(key, to_bytes(member.to_json()), if_none_match=True)
        except PreconditionFailed:
            return self._join_other(upload, member)
        self._require_counted(upload)
        return Receipt(member, created=True)

    def _join_other(self, upload: Upload, member: Member) -> Receipt:
        """Return the receipt for the member record that another upload wrote while this one was under way."""
        other = self._records.read_member(upload.job, upload.round, upload.client)
        if other:
            require_repeat(upload, member.metrics, other)
        self._require_counted(upload)
        if not other:
            raise Unavailable(f"{upload.client!r} was removed from {upload} while it was sent; send it again")
        return Receipt(other, created=False)

    def _require_counted(self, upload: Upload) -> None:
        """Take step 6: if the round was committed without the upload, remove it and raise `RoundCommitted`."""
        # The two looks at the store take place at once, so that the second one costs no time.
        standing = self._readers.submit(self._rounds.require, upload.job)
        committed = self._await_commit(upload)
        standing.result()
        if committed is None or _find_member(committed, upload.client):
            return
        # The member record goes first: tensors without one do not count, a record without tensors would.
        self._store.delete(layout.member(upload.job.home, upload.round, upload.client))
        self._store.delete(layout.tensors(upload.job.home, upload.round, upload.client))
        raise _too_late(upload)

    def _await_commit(self, upload: Upload) -> Round | None:
        """Wait for the round's record and return it; return None at once if no commit has begun."""
        polls = self._polling.begin()
        while self._openings.has_commit_begun(upload.job, upload.round):
            if record := self._records.read_record(upload.job, upload.round):
                return record
            if not polls.failed():
                raise _undecided(upload)
            polls.wait()
        return None

    def _send_slices(self, upload: Upload, ref: MemberRef, opening: Opening) -> None:
        """Begin to send the slices to their shards. A failure costs only speed: shards can read them from the store."""
        job = upload.job
        try:
            slices = self._backends.locate_slices(job)
            base = None if opening.base is None else self._records.locate_aggregate(job, opening.base)
        except FLStoreError as error:
            logger.warning("slices not sent", extra={"job": job.id, "error": error.detail})
            return
        data = upload.body[ref.data_offset :]
        for held in slices:
            pieces = pack(data, job.schema, held.part)
            upload.sends.extend(self._backends.outbox.send(held.urls, held.part, ref, base, pieces, len(upload.body)))


def pack(data: memoryview, schema: Schema, part: SliceRef) -> list[memoryview]:
    """Return the pieces of a file's data section that make up a slice, in order. Nothing is copied."""
    return [data[run.offset : run.offset + run.nbytes] for run in schema.runs(*part.bounds(schema))]


def _find_member(record: Round, client: ClientId) -> Member | None:
    return record.aggregate if client == AGGREGATE else record.by_client.get(client)


def _find_repeat(checked: CheckedUpload, committed: Round) -> Receipt:
    """Return the receipt of an upload that is in the committed round; raise `RoundCommitted` if it is not."""
    upload = checked.upload
    member = _find_member(committed, upload.client)
    if member is None:
        raise _too_late(upload)
    require_repeat(upload, checked.metrics, member)
    return Receipt(member, created=False)


def _conflict(upload: Upload) -> Conflict:
    return Conflict(f"{upload} already has different bytes from {upload.client!r}; a stored update cannot be replaced")


def _too_late(upload: Upload) -> RoundCommitted:
    return RoundCommitted(f"{upload} was committed without {upload.client!r}; it takes no further updates")


def _undecided(upload: Upload) -> Unavailable:
    return Unavailable(
        f"{upload} is being committed; send the update again to learn whether the round includes it. If the commit was "
        "cut off, send the commit again"
    )


def _digest_of_object(store: ObjectStore, key: str) -> str:
    digest = hashlib.sha256()
    for chunk in store.stream(key):
        digest.update(chunk)
    return digest.hexdigest()
