"""Mends of commits."""

from collections.abc import Mapping
from typing import Any

from flstore_core import layout
from flstore_core.ids import ClientId, Home
from flstore_core.records import Job, Round, to_bytes
from services.gateway.rounds.commit import Commit
from services.gateway.rounds.opening import Opening, Openings
from services.gateway.rounds.settlement import Settlement
from tests.protocol.mends.base import Mend, Patch, ignore_conditions


def _mark_after_listing(patch: Patch) -> None:
    mark, list_members = Openings.mark_commit, Commit._list

    def list_and_mark(commit: Commit, job: Job, number: int, opening: Opening) -> Any:
        listed = list_members(commit, job, number, opening)
        mark(commit._openings, job, number)
        return listed

    patch.setattr(Openings, "mark_commit", Openings.open_round)
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
    Mend("settlement", "a client that is erased during the commit is committed", _do_not_settle, "erasures", 433),
    Mend(
        "statistics-by-etag",
        "a commit writes the row of a client that was erased after it had listed",
        lambda patch: ignore_conditions(patch, "*/statistics.safetensors"),
        "commits that break off",
        1643,
    ),
    Mend(
        "one-round-record",
        "of two commits both win",
        lambda patch: ignore_conditions(patch, "*/round.json"),
        "uploads",
        19,
    ),
]
