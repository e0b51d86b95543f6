"""Stores updates and aggregates. An upload is acknowledged once the store has it and its round is sure to count it.

**The objects of one upload.** There are two. The tensors are in a file that is named for this upload, so no other
upload writes or deletes it. The small *member record* names the file and has its hash. It lies in a place that all
uploads of a client to a round share, and makes one of them count, because a commit lists member records.

**The steps of a put, and the reason for their order.**

1. Check the body before anything is written, so a bad one leaves nothing behind.
2. Look at the place of the member record. If there is a record, this upload is a repeat: the same bytes with the same
   metrics go on to step 6, others are refused.
3. Open the round, or read its opening. If the opening has the commit mark, wait for the round's record. It says whether
   this upload is a repeat after all, or comes too late.
4. Write the tensors. Meanwhile, send their slices to the shards, from the same buffer, so shards compute statistics
   while the store writes. Nothing waits for the shards: a shard reads from the store what it was
   not sent.
5. Write the member record, on the condition that its place is as it was in step 2. It comes after the tensors, so
   wherever there is a member record, its tensors are complete.
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
about to be removed. The round's record is read from the store, never from the cache: the client may have been erased
from it through another gateway.

**Two uploads at once** both pass step 2. One of them wins step 5. The other deletes its own file and takes the winner's
record, or is refused if the bytes differ. An erasure in between leaves a mark in the place, so the upload that began
before it fails in step 5 and cannot bring back what was erased (`services.gateway.rounds.erase`).

**A replacement** is an upload that may take the place of another update. In step 2 it passes over a record of other
bytes or metrics; in step 5 it puts its own in the place, by the etag. If the place has changed, it goes back to step 4,
with a file of another name: the store may have carried out step 5 twice, and whoever replaced the record that came of
the first time deletes its file. In step 6 it deletes the file of the update that it replaced, unless a commit has
begun: then the round's record says which of the two counts (`services.gateway.rounds.settlement`), and if it is the
earlier one, the replacement is removed and refused.

**In a job of version 0.1.0** files have no names there, and that version finds no others. So that both versions can
run side by side, and 0.1.0 again afterwards, the first upload to a place gets the file without a name, if it can create
it. It is the only one of its kind: a place in which something has lain never becomes empty again before the round is
committed. So whoever deletes the file without a name, however late, cannot take a later upload's. (0.1.0 does make
places empty, when it erases a client.)

**Uploads that were cut off** leave a file that no record names. It is deleted when the round has been committed
(`services.gateway.rounds.settlement`), with the job, or when the client is erased. No clock decides.
"""

import logging
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

from flstore_core import layout
from flstore_core.codec import Canonical
from flstore_core.errors import (
    FLStoreError,
    PreconditionFailed,
    RoundCommitted,
    Unavailable,
)
from flstore_core.files import new_name
from flstore_core.ids import AGGREGATE
from flstore_core.records import Member, Round, to_bytes
from flstore_core.retry import Retry
from flstore_core.schema import Schema
from flstore_core.shard.protocol import MemberRef, SliceRef
from services.common.timing import Time
from services.gateway.backends.slices import Backends
from services.gateway.rounds.newest import Newest
from services.gateway.rounds.opening import Opening, Rounds
from services.gateway.rounds.places import Place
from services.gateway.rounds.removal import note_withdrawal
from services.gateway.rounds.repeats import differs, require_repeat
from services.gateway.rounds.upload import CheckedUpload, Upload, check
from services.gateway.threads import Pools

logger = logging.getLogger(__name__)

COMMIT_POLLS = 100
"""How many times an upload looks for the record of a round that is being committed."""
COMMIT_POLL_SECONDS = 0.05
"""Seconds between two of these looks, so an upload waits about 5 seconds in all."""

REPLACE = "; to put this one in its place, send it with replace=true"


@dataclass(frozen=True, slots=True)
class Receipt:
    """The acknowledgement of an upload."""

    member: Member
    created: bool
    """False if the same update was stored before."""


class Finish(Protocol):
    """Takes the last steps of a put, and returns the acknowledgement; raises as `Ingest.put`."""

    def __call__(self, *, gives_way: bool = False) -> Receipt:
        """Take them.

        Args:
            gives_way: whether a replacement takes the place only of what was there when it began.
        """


class Ingest:
    """Stores updates and aggregates. Safe to share between threads.

    Args:
        newest: keeps the aggregates that are stored.
        name_upload: returns a name that no upload had before.
    """

    def __init__(
        self,
        rounds: Rounds,
        backends: Backends,
        pools: Pools,
        time: Time,
        newest: Newest,
        name_upload: Callable[[], str] = new_name,
    ) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._records = rounds.records
        self._openings = rounds.openings
        self._backends = backends
        self._readers = pools.readers
        self._writers = pools.writers
        self._time = time
        self._newest = newest
        self._name_upload = name_upload
        self._polling = Retry((COMMIT_POLL_SECONDS,), attempts=COMMIT_POLLS, clock=time.monotonic, sleep=time.sleep)

    def put(self, upload: Upload) -> Receipt:
        """Store an update or an aggregate, and return once the store has it and its round is sure to count it.

        Raises:
            InvalidTensors, SchemaMismatch, InvalidParameters: as `services.gateway.rounds.upload.check`.
            Conflict: if other bytes or metrics are stored under the same name, or the round has another base.
            RoundCommitted: if the round was committed without the upload.
            StoreUnavailable: if the store failed. Sending the upload again is safe.
            Unavailable: if the round is being committed and its record does not appear in time, or if the client is
                being erased.
            NotFound: if the job was deleted meanwhile, or no aggregate has the hash that is named as the base.
        """
        return self.begin(upload)()

    def begin(self, upload: Upload) -> Finish:
        """Take the first three steps of `put`, which write no model, and return what takes the others.

        What the round does not take as it is now is refused here, as `put` refuses it.
        """
        checked = check(upload)
        upload = checked.upload
        place = self._records.read_place(upload.job, upload.round, upload.client)
        if place.member and not (upload.replace and differs(upload, checked.metrics, place.member)):
            require_repeat(upload, checked.metrics, place.member, REPLACE)
            if upload.base is not None:
                self._open_round(upload)
            self._require_counted(upload, place.member)
            return _already(Receipt(place.member, created=False))
        opening = self._open_round(upload)
        if opening.commit_begun and (committed := self._await_commit(upload)):
            self._rounds.require(upload.job)
            return _already(_find_repeat(checked, committed))
        return partial(self._store_all, checked, opening, place)

    def _open_round(self, upload: Upload) -> Opening:
        return self._openings.open_round(upload.job, upload.round, upload.base, rename=upload.replace)

    def _store_all(self, checked: CheckedUpload, opening: Opening, place: Place, *, gives_way: bool = False) -> Receipt:
        """Take steps 4 to 6."""
        upload, file = checked.upload, checked.file
        name = "" if upload.job.is_of_version_1 and place.etag is None else self._name_upload()
        tensors = self._writers.submit(self._put_tensors, checked, name)
        offset, nbytes = len(file.head), file.nbytes
        is_delta = upload.job.is_delta(upload.client, opening.updates)
        metrics, received_at, weight = checked.metrics, self._time.now(), checked.keyed_weight
        member = Member(upload.client, upload.sha256, nbytes, offset, metrics, received_at, name, weight)
        try:
            self._send_slices(checked, MemberRef.of(upload.round, member, is_delta), opening)
        finally:
            written = tensors.result()  # in any case: the writer reads the body, which is freed as soon as this returns
        receipt = self._put_record(checked, replace(member, upload=written), place, gives_way)
        self._keep(checked, receipt.member)
        return receipt

    def _keep(self, checked: CheckedUpload, member: Member) -> None:
        """Keep an aggregate in memory. A file without a name is not: another one may take its place some day."""
        upload = checked.upload
        if upload.client == AGGREGATE and member.upload and checked.file.is_as_it_came:
            key = layout.tensors(upload.job.home, upload.round, AGGREGATE, member.upload)
            self._newest.keep(upload.job.home, key, upload.body)

    def _put_tensors(self, checked: CheckedUpload, name: str) -> str:
        """Write the upload's file, and return the name that it has in the end: somebody else's may have no name."""
        upload, file = checked.upload, checked.file
        key = layout.tensors(upload.job.home, upload.round, upload.client, name)
        try:
            self._store.put(key, upload.body if file.is_as_it_came else file.pieces(), if_none_match=not name)
            return name
        except PreconditionFailed:
            return self._put_tensors(checked, self._name_upload())

    def _put_record(self, checked: CheckedUpload, member: Member, place: Place, gives_way: bool) -> Receipt:
        upload = checked.upload
        while True:
            try:
                self._records.write_member(upload.job, upload.round, member, place.etag)
                break
            except PreconditionFailed:
                now = self._records.read_place(upload.job, upload.round, upload.client)
                if gives_way or not (upload.replace and now.member) or now.member.upload == member.upload:
                    return self._join_other(upload, member)
                place, member = now, self._begin_again(checked, member)  # another upload was quicker, and is replaced
        self._require_counted(upload, member)
        if place.member:
            self._discard(upload, place.member)
        return Receipt(member, created=True)

    def _begin_again(self, checked: CheckedUpload, member: Member) -> Member:
        """Write the upload's file once more, under another name, and return its record.

        The store may have carried out the write of the record twice. Then the first one succeeded, and was replaced by
        somebody who deletes the file that it names, now or later.
        """
        upload, name = checked.upload, self._put_tensors(checked, self._name_upload())
        self._store.delete(layout.tensors(upload.job.home, upload.round, upload.client, member.upload))
        return replace(member, upload=name)

    def _discard(self, upload: Upload, replaced: Member) -> None:
        """Note that another update was replaced, and delete its file: no commit can name it any more."""
        note_withdrawal(self._store, upload.job, upload.round, replaced, self._time.now())
        self._store.delete(layout.tensors(upload.job.home, upload.round, upload.client, replaced.upload))

    def _join_other(self, upload: Upload, member: Member) -> Receipt:
        """Return the receipt for the member record that was written while this upload was under way."""
        other = self._records.read_member(upload.job, upload.round, upload.client)
        mine = other is not None and other.upload == member.upload  # if the store was asked twice to write it
        if not mine:
            self._store.delete(layout.tensors(upload.job.home, upload.round, upload.client, member.upload))
        if other:
            require_repeat(upload, member.metrics, other, REPLACE)
        self._require_counted(upload, other or member)
        if not other:
            raise Unavailable(f"{upload.client!r} was removed from {upload} while it was sent; send it again")
        return Receipt(other, created=mine)

    def _require_counted(self, upload: Upload, member: Member) -> None:
        """Take step 6: if the round was committed without the upload, remove it and raise `RoundCommitted`."""
        standing = self._readers.submit(self._rounds.require, upload.job)
        committed = self._await_commit(upload)
        standing.result()
        if committed is None:
            return
        if counted := committed.find(upload.client):
            if counted.upload != member.upload:
                self._give_way(upload, member, counted)
            return
        # The member record goes first: tensors without one do not count, a record without tensors would.
        self._store.delete(layout.member(upload.job.home, upload.round, upload.client))
        self._store.delete(layout.tensors(upload.job.home, upload.round, upload.client, member.upload))
        raise _too_late(upload)

    def _give_way(self, upload: Upload, member: Member, counted: Member) -> None:
        """Remove an update in whose place the committed round has another one, and raise `RoundCommitted`."""
        key = layout.member(upload.job.home, upload.round, upload.client)
        place = self._records.read_place(upload.job, upload.round, upload.client)
        if place.member and place.member.upload == member.upload:
            with suppress(PreconditionFailed):
                self._store.put(key, to_bytes(counted.to_json()), if_match=place.etag)
        self._store.delete(layout.tensors(upload.job.home, upload.round, upload.client, member.upload))
        raise RoundCommitted(f"{upload} was committed with another update of {upload.client!r}")

    def _await_commit(self, upload: Upload) -> Round | None:
        """Wait for the round's record and return it; return None at once if no commit has begun."""
        polls = self._polling.begin()
        while self._openings.has_commit_begun(upload.job, upload.round):
            if record := self._records.find_record_now(upload.job, upload.round):
                return record
            if not polls.failed():
                raise _undecided(upload)
            polls.wait()
        return None

    def _send_slices(self, checked: CheckedUpload, ref: MemberRef, opening: Opening) -> None:
        """Begin to send the slices to their shards. A failure costs only speed: shards can read them from the store."""
        upload, job = checked.upload, checked.upload.job
        try:
            slices = self._backends.locate_slices(job)
            base = self._openings.likely_base(job, upload.round, opening)
        except FLStoreError as error:
            logger.warning("slices not sent", extra={"job": job.id, "error": error.detail})
            return
        for held in slices:
            pieces = pack(checked.file, job.schema, held.part)
            upload.sends.extend(self._backends.outbox.send(held.urls, held.part, ref, base, pieces, len(upload.body)))


def pack(file: Canonical, schema: Schema, part: SliceRef) -> list[memoryview]:
    """Return the pieces of a file's data section that make up a slice, in order. Nothing is copied."""
    runs = schema.runs(*part.bounds(schema))
    return [piece for run in runs for piece in file.cut(run.offset, run.offset + run.nbytes)]


def _already(receipt: Receipt) -> Finish:
    """Return what has nothing left to do."""
    return lambda *, gives_way=False: receipt


def _find_repeat(checked: CheckedUpload, committed: Round) -> Receipt:
    """Return the receipt of an upload that is in the committed round; raise `RoundCommitted` if it is not."""
    upload = checked.upload
    member = committed.find(upload.client)
    if member is None:
        raise _too_late(upload)
    if upload.replace and differs(upload, checked.metrics, member):
        raise RoundCommitted(f"{upload} was committed with another update of {upload.client!r}")
    require_repeat(upload, checked.metrics, member)
    return Receipt(member, created=False)


def _too_late(upload: Upload) -> RoundCommitted:
    return RoundCommitted(f"{upload} was committed without {upload.client!r}; it takes no further updates")


def _undecided(upload: Upload) -> Unavailable:
    return Unavailable(
        f"{upload} is being committed; send the update again to learn whether the round includes it. If the commit was "
        "cut off, send the commit again"
    )
