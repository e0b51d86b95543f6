"""How a member leaves a round that may be committed meanwhile: steps that erasures and withdrawals share."""

from contextlib import suppress

from flstore_core import layout
from flstore_core.errors import PreconditionFailed
from flstore_core.ids import ClientId
from flstore_core.records import REMOVED, WITHDRAWN, Job, Member, StatisticsMode, to_bytes
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore
from services.gateway.rounds.places import Place
from services.gateway.rounds.settlement import drop_rows

_NO_ROWS = RoundStatistics.without_rows().to_bytes()


def mark_removal(store: ObjectStore, job: Job, number: int, place: Place, name: str) -> str:
    """Put the mark of a removal into a place, and return its etag; raise `PreconditionFailed` if the place changed.

    An upload that began before can then no longer write its record, and a commit that has listed the member takes it
    out again (`services.gateway.rounds.settlement`).
    """
    key, mark = layout.member(job.home, number, place.client), to_bytes({REMOVED: name})
    return store.put(key, mark, if_none_match=place.etag is None, if_match=place.etag).etag


def take_out_of_statistics(store: ObjectStore, job: Job, number: int, client: ClientId) -> bool:
    """Take a client's row out of a round's statistics; return whether it was there.

    If there are none yet, create some without rows: a commit that has listed the client already finds them in its way,
    and begins again.
    """
    key = layout.statistics(job.home, number)
    if job.statistics is not StatisticsMode.OFF:
        with suppress(PreconditionFailed):  # there are some
            store.put(key, _NO_ROWS, if_none_match=True)
    return drop_rows(store, key, {client})


def note_withdrawal(store: ObjectStore, job: Job, number: int, member: Member, at: float) -> None:
    """Keep an audit record of an update that was taken back or replaced: whose it was, and its hash."""
    entry = {
        "job": job.id,
        "client": member.client,
        WITHDRAWN: {"round": number, "sha256": member.sha256, "received_at": member.received_at},
        "asked_at": at,
        "done_at": at,
    }
    store.put(layout.audit(job.id, f"{member.client}-{at:.6f}-{member.upload}"), to_bytes(entry))
