"""Mends of erasures, and of what caches forget."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import ClientId
from flstore_core.records import Job
from flstore_core.storage import Body, ObjectInfo, ObjectStore
from flstore_core.storage.base import pieces_of
from services.gateway.answers import artifacts
from services.gateway.rounds import settlement, traces
from services.gateway.rounds.begun import Begun
from services.gateway.rounds.erase import Eraser, Erasure
from services.gateway.rounds.index import Catalog, JobIndex
from services.gateway.rounds.places import Place
from services.gateway.rounds.records import Records
from services.gateway.rounds.settlement import drop_member, drop_rows
from services.gateway.rounds.traces import Traces
from tests.protocol.mends.base import Mend, Patch
from tests.protocol.store import FaultyStore


def _rewrite_without_etag(patch: Patch) -> None:
    def rewrite(store: ObjectStore, key: str, change: Callable[[bytes], bytes | None]) -> None:
        try:
            if changed := change(store.get(key)):
                store.put(key, changed)
        except NotFound:
            return

    patch.setattr(settlement, "rewrite", rewrite)


def _delete_instead_of_marking(patch: Patch) -> None:
    def delete(store: ObjectStore, job: Job, number: int, place: Place, name: str) -> None:
        store.delete(layout.member(job.home, number, place.client))

    patch.setattr(traces, "mark_removal", delete)


def _mark_last(patch: Patch) -> None:
    mark = Traces._mark

    def drop_and_mark(self: Traces, job: Job, number: int, client: ClientId, *rest: Any) -> Any:
        drop_member(self._store, layout.round_record(job.home, number), client)
        return mark(self, job, number, client, *rest)

    patch.setattr(Traces, "_mark", drop_and_mark)
    patch.setattr(traces, "drop_member", lambda store, key, client, counts: None)


def _go_by_records(patch: Patch) -> None:
    patch.setattr(Traces, "_list_files", lambda self, job, number, client: set())


def _leave_no_statistics(patch: Patch) -> None:
    def drop_row(store: ObjectStore, job: Job, number: int, client: ClientId) -> bool:
        return drop_rows(store, layout.statistics(job.home, number), {client})

    patch.setattr(traces, "take_out_of_statistics", drop_row)


def _find_no_artifacts(patch: Patch) -> None:
    patch.setattr(artifacts, "find_made_of", lambda store, job, client, unknown=False: [])


def _do_not_watch(patch: Patch) -> None:
    patch.setattr(Catalog, "require_no_erasure_since", lambda catalog, job, known: None)


def _erase_what_came_again(patch: Patch) -> None:
    carry_out = Eraser._carry_out

    def carry_out_all(eraser: Eraser, job: Job, begun: Begun, *, only_found: bool) -> Erasure:
        return carry_out(eraser, job, begun, only_found=False)

    patch.setattr(Eraser, "_carry_out", carry_out_all)


def _do_not_go_on(patch: Patch) -> None:
    patch.setattr(Eraser, "go_on", lambda eraser: None)


def _ignore_tombstones(patch: Patch) -> None:
    patch.setattr(JobIndex, "is_outdated", lambda index, job, erasures: not index.job.is_same(job))


def _complete_no_tombstone(patch: Patch) -> None:
    put = FaultyStore.put

    def put_first_ones(
        store: FaultyStore, key: str, body: Body, *, if_none_match: bool = False, if_match: str | None = None
    ) -> ObjectInfo:
        if key.startswith("audit/") and b'"rounds_done_at"' in b"".join(pieces_of(body)):
            return store.stat(key)
        return put(store, key, body, if_none_match=if_none_match, if_match=if_match)

    patch.setattr(FaultyStore, "put", put_first_ones)


def _forget_what_is_cached(patch: Patch) -> None:
    @contextmanager
    def current(records: Records, job: Job) -> Iterator[None]:
        yield

    patch.setattr(Records, "current", current)


MENDS = [
    Mend(
        "rewritten-by-etag", "two erasures at once undo each other", _rewrite_without_etag, "erasures and answers", 463
    ),
    Mend(
        "marks-of-removals",
        "an upload that began before brings an erased client back",
        _delete_instead_of_marking,
        "uploads that come late",
        1546,
    ),
    Mend("mark-before-round-record", "an erasure and a commit do not see each other", _mark_last, "erasures", 838),
    Mend(
        "files-without-records",
        "an erasure leaves what an upload that was cut off has written",
        _go_by_records,
        "uploads and erasures",
        144,
    ),
    Mend(
        "tombstones-looked-at",
        "another gateway answers with an erased client for ever",
        _ignore_tombstones,
        "erasures and answers",
        4,
    ),
    Mend(
        "completed-tombstones",
        "a gateway keeps what it read during an erasure",
        _complete_no_tombstone,
        "erasures and answers",
        62,
    ),
    Mend(
        "what-was-made-of-it",
        "a model that was made of an erased client's update stays",
        _find_no_artifacts,
        "erasures and answers",
        44,
    ),
    Mend(
        "questions-watch",
        "a question writes a model of a client that is being erased",
        _do_not_watch,
        "erasures and answers",
        10,
    ),
    Mend(
        "going-on-spares",
        "an erasure that goes on takes what the client has sent since",
        _erase_what_came_again,
        "uploads and erasures",
        1687,
    ),
    Mend(
        "going-on",
        "an erasure that broke off leaves other gateways with what they had read",
        _do_not_go_on,
        "erasures and answers",
        796,
    ),
    Mend(
        "rows-in-a-commits-way",
        "a commit that broke off leaves an erased client's row",
        _leave_no_statistics,
        "commits that break off",
        8361,
    ),
    Mend(
        "reading-forgotten",
        "a reader that stalled puts an erased client into a cache",
        _forget_what_is_cached,
        "readers that stall",
        1233,
    ),
]
