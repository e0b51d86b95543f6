"""Mends of uploads, replacements and updates taken back."""

from flstore_core import layout
from flstore_core.ids import ClientId, Home
from flstore_core.records import Job, Member
from services.gateway.rounds.ingest import Ingest, Receipt
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.places import Place
from services.gateway.rounds.records import Records
from services.gateway.rounds.removal import mark_removal, note_withdrawal, take_out_of_statistics
from services.gateway.rounds.repeats import require_repeat
from services.gateway.rounds.upload import CheckedUpload, Upload, check
from services.gateway.rounds.withdraw import Withdrawals
from tests.protocol.mends.base import Mend, Patch, ignore_conditions

ABANDONED_AFTER_S = 60.0


def _return_early(patch: Patch) -> None:
    put = Ingest.put

    def put_returning_early(ingest: Ingest, upload: Upload) -> Receipt:
        place = ingest._records.read_place(upload.job, upload.round, upload.client)
        if place.member and not upload.replace:
            require_repeat(upload, check(upload).metrics, place.member)
            return Receipt(place.member, created=False)
        return put(ingest, upload)

    patch.setattr(Ingest, "put", put_returning_early)


def _acknowledge_at_once(patch: Patch) -> None:
    patch.setattr(Ingest, "_require_counted", lambda ingest, upload, member: None)


def _share_a_file(patch: Patch) -> None:
    tensors = layout.tensors

    def tensors_of_all(home: Home, number: int, client: ClientId, upload: str = "") -> str:
        return tensors(home, number, client)

    patch.setattr(layout, "tensors", tensors_of_all)


def _take_over_by_the_clock(patch: Patch) -> None:
    store_all = Ingest._store_all

    def store_all_after_cleaning(ingest: Ingest, checked: CheckedUpload, *rest: object) -> Receipt:
        upload = checked.upload
        file = layout.tensors(upload.job.home, upload.round, upload.client, "*").partition("*")[0]
        for info in ingest._store.list(layout.clients_prefix(upload.job.home, upload.round)):
            if info.key.startswith(file) and info.modified < ingest._time.now() - ABANDONED_AFTER_S:
                ingest._store.delete(info.key)
        return store_all(ingest, checked, *rest)  # type: ignore[arg-type]

    patch.setattr(Ingest, "_store_all", store_all_after_cleaning)


def _write_the_record_first(patch: Patch) -> None:
    put_record, put_tensors = Ingest._put_record, Ingest._put_tensors
    waiting: dict[str, CheckedUpload] = {}

    def put_off(ingest: Ingest, checked: CheckedUpload, name: str) -> str:
        waiting[name] = checked
        return name

    def put_record_then_tensors(
        ingest: Ingest, checked: CheckedUpload, member: Member, place: Place, gives_way: bool
    ) -> Receipt:
        receipt = put_record(ingest, checked, member, place, gives_way)
        put_tensors(ingest, waiting[member.upload], member.upload)
        return receipt

    patch.setattr(Ingest, "_put_tensors", put_off)
    patch.setattr(Ingest, "_put_record", put_record_then_tensors)


def _take_a_repeated_call_for_anothers(patch: Patch) -> None:
    join_other = Ingest._join_other

    def delete_and_join(ingest: Ingest, upload: Upload, member: Member) -> Receipt:
        ingest._store.delete(layout.tensors(upload.job.home, upload.round, upload.client, member.upload))
        return join_other(ingest, upload, member)

    patch.setattr(Ingest, "_join_other", delete_and_join)


def _keep_the_file(patch: Patch) -> None:
    patch.setattr(Ingest, "_begin_again", lambda ingest, checked, member: member)


def _acknowledge_a_late_replacement(patch: Patch) -> None:
    patch.setattr(Ingest, "_give_way", lambda ingest, upload, member, counted: None)


def _leave_what_is_too_late(patch: Patch) -> None:
    patch.setattr(Rounds, "require", lambda rounds, job: None)


def _acknowledge_from_a_cache(patch: Patch) -> None:
    patch.setattr(Records, "find_record_now", Records.read_record)


def _take_back_without_a_second_look(patch: Patch) -> None:
    def drop(withdrawals: Withdrawals, job: Job, number: int, place: Place, member: Member) -> None:
        store = withdrawals._store
        mark_removal(store, job, number, place, withdrawals._name_removal())
        take_out_of_statistics(store, job, number, place.client)
        note_withdrawal(store, job, number, member, withdrawals._time.now())
        store.delete(layout.tensors(job.home, number, place.client, member.upload))

    patch.setattr(Withdrawals, "_drop", drop)


MENDS = [
    Mend(
        "look-before-a-repeat-is-acknowledged",
        "an identical upload is acknowledged by the record of another one that the commit did not count",
        _return_early,
        "uploads",
        37,
    ),
    Mend(
        "last-look",
        "an upload is acknowledged that came after the commit had listed",
        _acknowledge_at_once,
        "uploads",
        25,
    ),
    Mend(
        "files-of-their-own",
        "of two uploads one writes over the other's bytes, or deletes them",
        _share_a_file,
        "uploads",
        3,
    ),
    Mend("no-clock-for-uploads", "an upload under way is taken for abandoned", _take_over_by_the_clock, "uploads", 3),
    Mend(
        "tensors-first",
        "a record names a file that a crash has kept from being written",
        _write_the_record_first,
        "uploads",
        4,
    ),
    Mend(
        "records-by-etag",
        "an upload's record is written over a mark or over another's record",
        lambda patch: ignore_conditions(patch, "*/clients/*.json"),
        "uploads",
        3,
    ),
    Mend(
        "own-record-known-again",
        "an upload deletes its own file because the store was asked twice to write its record",
        _take_a_repeated_call_for_anothers,
        "uploads",
        157,
    ),
    Mend(
        "replacements-give-way",
        "a replacement is acknowledged too late",
        _acknowledge_a_late_replacement,
        "replacements",
        112,
    ),
    Mend(
        "job-looked-at-last", "what is written is left in a job that was deleted", _leave_what_is_too_late, "lives", 42
    ),
    Mend(
        "acknowledged-by-the-store",
        "an erased update is acknowledged from a cache",
        _acknowledge_from_a_cache,
        "erasures and answers",
        1297,
    ),
    Mend(
        "second-look-of-withdrawals",
        "an update is taken back out of a round that was committed with it",
        _take_back_without_a_second_look,
        "withdrawals",
        143,
    ),
    Mend(
        "replacements-begin-again",
        "a replacement whose record was written twice names a file that another one has deleted",
        _keep_the_file,
        "replacements",
        2403,
    ),
]
