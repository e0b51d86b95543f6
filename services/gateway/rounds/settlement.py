"""Settles rounds: makes sure that a committed round names nobody who was erased while it was being committed.

**The trouble.** A commit lists the members, and writes the round record later. An erasure in between finds no record to
take its client out of, and the record that comes then names the client for ever.

**The idea.** The commit first writes a record that is *unsettled*: it says which etag each member's record had when it
was listed. Whoever comes across an unsettled record compares these etags with those of now. Whose record has changed is
taken as it is now: replaced by another upload, or removed. Then the round record is replaced by a settled one, on the
condition that nobody else has replaced it. The commit itself comes across it first, and is not acknowledged before. If
it crashes, the next reader does its work.

**Why nobody is missed.** An erasure changes the member's record, and looks for the round record afterwards. A
settlement looks at the member's record after the round record was written:

    order of events                                what becomes of the client
    erasure changes, round record, settlement      the settlement takes it out
    round record, settlement, erasure changes      the erasure finds the round record and takes it out

**What is left over** in a round once it is settled belongs to nobody: files of uploads that were cut off, marks of
removals, and records of updates that came too late. No upload can be counted any more, so all of it is deleted, and no
clock is asked how old it is.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.ids import AGGREGATE, ClientId, Home
from flstore_core.records import LISTED, Member, Round, to_bytes
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json, load_json_with_etag, parse_json


class Settlement:
    """Reads round records, and settles those that are not. Safe to share between threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, home: Home, number: int) -> Round:
        """Return the record of a committed round, settled; raise `NotFound` if the round is not committed."""
        while True:
            data, etag = load_json_with_etag(self._store, layout.round_record(home, number))
            record = Round.from_json(data)
            if LISTED not in data:
                return record
            try:
                return self._settle(home, record, data[LISTED], etag)
            except PreconditionFailed:
                continue

    def write(self, home: Home, record: Round, listed: Mapping[ClientId, str | None]) -> Round:
        """Create a round record, settle it and return it; raise `PreconditionFailed` if there is one."""
        key = layout.round_record(home, record.number)
        self._store.put(key, to_bytes({**record.to_json(), LISTED: listed}), if_none_match=True)
        return self.read(home, record.number)

    def _settle(self, home: Home, record: Round, listed: Mapping[str, str], etag: str) -> Round:
        objects = {info.key: info.etag for info in self._store.list(layout.round_prefix(home, record.number))}
        changed = {
            ClientId(client)
            for client, at_listing in listed.items()
            if objects.get(layout.member(home, record.number, ClientId(client))) != at_listing
        }
        settled = self._as_they_are_now(home, record, changed)
        if changed:
            drop_rows(self._store, layout.statistics(home, record.number), changed)
        self._store.put(layout.round_record(home, record.number), to_bytes(settled.to_json()), if_match=etag)
        for key in sorted(objects.keys() - _own_files(home, settled)):
            self._store.delete(key)
        return settled

    def _as_they_are_now(self, home: Home, record: Round, changed: Collection[ClientId]) -> Round:
        """Return a round record with those members whose places have changed as they are now: replaced, or gone."""
        now = {client: self._read_member(home, record.number, client) for client in changed}
        members = (now.get(member.client, member) for member in record.members)
        aggregate = now.get(AGGREGATE, record.aggregate)
        return replace(record, members=tuple(member for member in members if member), aggregate=aggregate)

    def _read_member(self, home: Home, number: int, client: ClientId) -> Member | None:
        try:
            return Member.from_place(load_json(self._store, layout.member(home, number, client)))
        except NotFound:
            return None


def _own_files(home: Home, record: Round) -> set[str]:
    """Return the keys of everything that belongs to a committed round."""
    number = record.number
    members = [*record.members, *([record.aggregate] if record.aggregate else [])]
    return {
        layout.opening(home, number),
        layout.round_record(home, number),
        layout.statistics(home, number),
        *(layout.member(home, number, member.client) for member in members),
        *(layout.tensors(home, number, member.client, member.upload) for member in members),
    }


def drop_rows(store: ObjectStore, key: str, clients: Collection[ClientId], mark: str = "") -> bool:
    """Take clients' rows out of stored statistics; return whether there were any.

    Args:
        mark: a name that changes the statistics in any case, and so their etag: whoever computes others from what was
            stored before can then no longer write them.
    """
    had_rows = False

    def without(body: bytes) -> bytes | None:
        nonlocal had_rows
        statistics = RoundStatistics.from_stored(body) or RoundStatistics.without_rows()
        stay = [member for member in statistics.members if member not in clients]
        had_rows = had_rows or len(stay) < len(statistics.members)
        if mark:
            return statistics.take(stay).to_bytes(mark=mark)
        return None if len(stay) == len(statistics.members) else statistics.take(stay).to_bytes()

    rewrite(store, key, without)
    return had_rows


def drop_member(
    store: ObjectStore, key: str, client: ClientId, counts: Callable[[str], bool] = lambda upload: False
) -> None:
    """Take a client out of a round record, settled or not, if there is one.

    Args:
        counts: says of the client's upload in the record whether it stays.
    """

    def without(body: bytes) -> bytes | None:
        data: dict[str, Any] = parse_json(key, body)
        stay = [member for member in data["members"] if member["client"] != client or counts(member.get("upload", ""))]
        if len(stay) == len(data["members"]):
            return None
        listed = {name: etag for name, etag in data.get(LISTED, {}).items() if name != client}
        return to_bytes({**data, "members": stay} | ({LISTED: listed} if LISTED in data else {}))

    rewrite(store, key, without)


def rewrite(store: ObjectStore, key: str, change: Callable[[bytes], bytes | None]) -> None:
    """Replace an object by what `change` returns for its bytes, unless that is None or there is no such object.

    If somebody else replaces the object meanwhile, begin again with the new one.
    """
    while True:
        try:
            body, info = store.get_with_info(key)
            if changed := change(body):
                store.put(key, changed, if_match=info.etag)
        except PreconditionFailed:
            continue
        except NotFound:
            pass
        return
