"""Opens rounds: the first upload into a round fixes the model that its deltas are taken against.

**The opening** is the small object `open.json`. The first upload or commit of a round creates it by a conditional
write, so if several gateways open a round at once, one creates the opening and the others read it. It holds the
round's *base*: the newest earlier round that has an aggregate at this moment.

Example: round 0 was committed with an aggregate. The first update of round 2 fixes base 0. An aggregate of round 1
that arrives later does not change this, so all deltas of round 2 are taken against the same model. Round 3, opened
after that, has base 1.

**The commit mark** is part of the same object. A commit sets it before it lists the round's members, and an upload
looks for it after it has stored its update (`services.gateway.rounds.ingest` explains why). It is never removed: if a
commit breaks off, somebody has to commit the round again.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any, ClassVar

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed, unknown
from flstore_core.formats import Record
from flstore_core.generations import Generations
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Job, Member, Round, Updates, show_updates, to_bytes, updates_shown
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json, load_json_with_etag
from services.gateway.rounds.index import Catalog, newest_before
from services.gateway.rounds.records import Records


@dataclass(frozen=True, slots=True)
class Opening(Record):
    """What is fixed when a round is opened, and the commit mark."""

    NAMES: ClassVar[Mapping[str, str]] = {"commit_begun": "closing"}
    # The store calls the mark "closing". It has to stay so: rounds that are open today are read by later versions.

    base: int | None
    """The round whose aggregate the deltas are taken against; None if they are taken against zero."""
    commit_begun: bool = False
    """The commit mark: an update that is stored from now on may be too late for the round."""
    updates: Updates | None = None
    """What the updates of the base's round were seen to be, see `Round.updates`."""

    def to_json(self) -> dict[str, Any]:
        return {**self.unknown, "base": self.base, "closing": self.commit_begun, **show_updates(self.updates)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Opening":
        return cls(data["base"], data["closing"], updates_shown(data), unknown=cls.unknown_in(data))


class Openings:
    """Opens rounds, sets commit marks, and reads open rounds. Safe to share between threads."""

    def __init__(self, store: ObjectStore, catalog: Catalog, records: Records) -> None:
        self._store = store
        self._catalog = catalog
        self._records = records

    def open_round(self, job: Job, number: int) -> Opening:
        """Return a round's opening, and create it if there is none."""
        # A creation fails only because somebody else's opening is there, so the next turn reads that one.
        while True:
            if opening := self._read(job, number) or self._create(job, number):
                return opening

    def has_commit_begun(self, job: Job, number: int) -> bool:
        """Say whether a round carries the commit mark; raise `NotFound` if there is no such round."""
        return self._require(job, number).commit_begun

    def mark_commit(self, job: Job, number: int) -> Opening:
        """Set the commit mark of a round, which is opened if it was not, and return the opening with the mark."""
        key = layout.opening(job.home, number)
        while True:
            try:
                data, etag = load_json_with_etag(self._store, key)
            except NotFound:
                self._create(job, number)
                continue
            opening = Opening.from_json(data)
            if opening.commit_begun:
                return opening
            marked = replace(opening, commit_begun=True)
            with suppress(PreconditionFailed):  # a later version may have added something: look again
                self._store.put(key, to_bytes(marked.to_json()), if_match=etag)
                return marked

    def read_uncommitted(self, job: Job, number: int, opening: Opening) -> Round:
        """Return an uncommitted round: the base of its opening, and the members that the store has now."""
        members = self._records.read_members(job, number)
        aggregate = self._records.read_member(job, number, AGGREGATE)
        return Round(number, opening.base, members, aggregate, updates=opening.updates)

    def read_open(self, job: Job, number: int) -> Round:
        """Return an open round as the store has it now; raise `NotFound` if it has no opening."""
        return self.read_uncommitted(job, number, self._require(job, number))

    def read_round(self, job: Job, number: int) -> Round:
        """Return a round, committed or open; raise `NotFound` if it was never opened."""
        index = self._catalog.read_index(job.id)  # raises `UnknownJob`, which says more than that the round is missing
        if record := self._records.read_record(job, number):
            return record
        if number not in index.open:
            index = self._catalog.refresh(job.id)
        if number in index.open:
            return self.read_open(job, number)
        # Another gateway may have committed the round after it was looked for above and before the refresh.
        if number in index.committed and (record := self._records.read_record(job, number)):
            return record
        raise unknown(f"round of job {job.id!r}:", str(number), map(str, (*index.committed, *index.open)))

    def read_model(self, job: Job, number: int, client: ClientId) -> Member:
        """Return the record of an update or aggregate, which counts if the round is committed; raise `NotFound`."""
        is_open = number not in self._catalog.read_index(job.id).committed
        if is_open and (member := self._records.read_member(job, number, client)):
            return member
        record = self.read_round(job, number)
        if member := record.find(client):
            return member
        raise unknown(f"model in round {number}", client, record.by_client)

    def _create(self, job: Job, number: int) -> Opening | None:
        """Create a round's opening and return it; return None if somebody else created one meanwhile."""
        base = self._choose_base(job, number)
        opening = Opening(base, updates=self._updates_shown(job, base))
        try:
            self._store.put(layout.opening(job.home, number), to_bytes(opening.to_json()), if_none_match=True)
        except PreconditionFailed:
            return None
        self._catalog.note_opening(job.id, number)
        return opening

    def _read(self, job: Job, number: int) -> Opening | None:
        try:
            return Opening.from_json(load_json(self._store, layout.opening(job.home, number)))
        except NotFound:
            return None

    def _require(self, job: Job, number: int) -> Opening:
        opening = self._read(job, number)
        if opening is None:
            raise NotFound(
                f"round {number} of job {job.id!r} does not exist; it was never opened, or its job was deleted"
            )
        return opening

    def _updates_shown(self, job: Job, base: int | None) -> Updates | None:
        """Return what the updates of the base's round were seen to be; a job that says it need not be looked at."""
        if job.updates_stated or base is None or job.is_of_version_1:  # version 0.1.0 fails on such a field here
            return None
        record = self._records.read_record(job, base)
        return record.updates if record else None

    def _choose_base(self, job: Job, number: int) -> int | None:
        """Return the newest round before `number` that has an aggregate, committed or not."""
        index = self._catalog.refresh(job.id)
        committed = newest_before(index.with_aggregate, number)
        # The index knows the aggregates of committed rounds only. An open round may have one too, and is the base if
        # it is newer than `committed`. These few are asked for one by one, the newest first.
        first = 0 if committed is None else committed + 1
        for earlier in reversed(index.open):
            if first <= earlier < number and self._records.read_member(job, earlier, AGGREGATE):
                return earlier
        return committed


@dataclass(frozen=True, slots=True)
class Rounds:
    """Everything about the rounds in a store that ingest, commit and erasure share."""

    store: ObjectStore
    generations: Generations
    catalog: Catalog
    records: Records
    openings: Openings

    @classmethod
    def over(cls, store: ObjectStore, catalog: Catalog, records: Records) -> "Rounds":
        """Return the rounds in `store`. `catalog` and `records` have to read the same store."""
        return cls(store, Generations(store), catalog, records, Openings(store, catalog, records))

    def require(self, job: Job) -> None:
        """Raise `NotFound` if the job was deleted since it was read. Call this after every write of an object."""
        try:
            self.generations.require(job)
        except NotFound:
            self.catalog.forget(job.id)
            raise
