"""Mends of commits."""

from collections.abc import Mapping
from typing import Any

from flstore_core import layout
from flstore_core.ids import ClientId, Home
from flstore_core.records import Job, Round, to_bytes
from services.gateway.rounds.commit import Commit
from services.gateway.rounds.opening import Openings
from services.gateway.rounds.settlement import Settlement
from tests.protocol.mends.base import Mend, Patch, ignore_conditions


def _mark_after_listing(patch: Patch) -> None:
    mark, list_members = Openings.mark_commit, Commit._list

    def open_only(openings: Openings, job: Job, number: int, named: str | None = None) -> Round:
        return Round(number, openings.open_round(job, number, named).base, ())

    def list_and_mark(commit: Commit, job: Job, opened: Round) -> Any:
        listed = list_members(commit, job, opened)
        mark(commit._openings, job, opened.number)
        return listed

    patch.setattr(Openings, "mark_commit", open_only)
    patch.setattr(Commit, "_list", list_and_mark)


def _do_not_settle(patch: Patch) -> None:
    def write(settlement: Settlement, home: Home, record: Round, listed: Mapping[ClientId, str | None]) -> Round:
        body = to_bytes(record.to_json())
        settlement._store.put(layout.round_record(home, record.number), body, if_none_match=True)
        return record

    patch.setattr(Settlement, "write", write)


MENDS = [
    Mend(
        "mark-before-listing",
        "an upload is neither listed nor sees that a commit lists",
        _mark_after_listing,
        "uploads",
        23,
    ),
    Mend("settlement", "a client that is erased during the commit is committed", _do_not_settle, "erasures", 1897),
    Mend(
        "statistics-by-etag",
        "a commit writes the row of a client that was erased after it had listed",
        lambda patch: ignore_conditions(patch, "*/statistics.safetensors"),
        "commits that break off",
        406,
    ),
    Mend(
        "one-round-record",
        "of two commits both win",
        lambda patch: ignore_conditions(patch, "*/round.json"),
        "uploads",
        19,
    ),
]
