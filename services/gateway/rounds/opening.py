"""Opens rounds: what all updates of a round share is fixed here.

**The opening** is the small object `open.json`. The first upload or commit of a round creates it by a conditional
write, so if several gateways open a round at once, one creates the opening and the others read it. It is replaced by
its etag only.

**The name of the base** is part of it, if a caller names the model that the round's deltas are taken against
(`services.gateway.rounds.bases`). All updates of a round share one base. Who names none agrees with any; whoever names
the first gives it to the whole round, and who names another one is refused. Beside the name stands the base that the
rule gave when the round was opened, and once more when it was committed.

**The commit mark** is part of it too. A commit sets it before it lists the round's members, and an upload looks for it
after it has stored its update (`services.gateway.rounds.ingest` explains why). It is never removed: if a commit breaks
off, somebody has to commit the round again. From the mark on, nobody names another base.
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
from flstore_core.shard.protocol import MemberRef
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import load_json_with_etag
from services.gateway.rounds.bases import Base, Bases, other_base
from services.gateway.rounds.index import Catalog
from services.gateway.rounds.records import Records


@dataclass(frozen=True, slots=True)
class Opening(Record):
    """What is fixed when a round is opened, and the commit mark."""

    NAMES: ClassVar[Mapping[str, str]] = {"commit_begun": "closing"}
    # The store calls the mark "closing". It has to stay so: rounds that are open today are read by later versions.

    base: int | None
    """The round whose aggregate was the base when this was written; None if there was none."""
    commit_begun: bool = False
    """The commit mark: an update that is stored from now on may be too late for the round."""
    updates: Updates | None = None
    """What the updates of the base's round were seen to be, see `Round.updates`."""
    named: str | None = None
    """What a caller named as the base, as `base_name` returns it; None if nobody did."""

    def to_json(self) -> dict[str, Any]:
        named = {} if self.named is None else {"named": self.named}
        return {
            **self.unknown,
            "base": self.base,
            "closing": self.commit_begun,
            **named,
            **show_updates(self.updates),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Opening":
        return cls(data["base"], data["closing"], updates_shown(data), data.get("named"), unknown=cls.unknown_in(data))


class Openings:
    """Opens rounds, sets commit marks, and reads open rounds. Safe to share between threads."""

    def __init__(self, store: ObjectStore, catalog: Catalog, records: Records, bases: Bases) -> None:
        self._store = store
        self._catalog = catalog
        self._records = records
        self._bases = bases

    def open_round(self, job: Job, number: int, named: str | None = None, *, rename: bool = False) -> Opening:
        """Return a round's opening, and create it if there is none.

        Args:
            named: what a caller names as the base, as `base_name` returns it.
            rename: whether that takes the place of another base that was named before, as long as the round is open.

        Raises:
            Conflict: if the round has another base.
            NotFound: if no aggregate has the named hash.
        """
        return self._open(job, number, named, rename=rename)[0]

    def _open(self, job: Job, number: int, named: str | None, *, rename: bool = False) -> tuple[Opening, str]:
        """Return a round's opening as `open_round` does, and its etag."""
        # A creation or a change fails only because somebody else's opening is there, so the next turn reads that one.
        while True:
            with suppress(PreconditionFailed):
                found = self._read(job, number)
                if found is None:
                    return self._create(job, number, named)
                if named is None or named == found[0].named:
                    return found
                return self._name(job, number, *found, named, rename=rename)

    def has_commit_begun(self, job: Job, number: int) -> bool:
        """Say whether a round carries the commit mark; raise `NotFound` if there is no such round."""
        return self._require(job, number).commit_begun

    def mark_commit(self, job: Job, number: int, named: str | None = None) -> Round:
        """Set the commit mark of a round, which is opened if need be, and return the round without its members.

        Args:
            named: what the commit names as the base. Errors are those of `open_round`.
        """
        while True:
            opening, etag = self._open(job, number, named)
            base = self._bases.choose(job, number, opening.named)
            updates = self._updates_shown(job, base.round) or opening.updates
            marked = replace(opening, base=base.round, commit_begun=True, updates=updates)
            with suppress(PreconditionFailed):
                if marked != opening:
                    self._write(job, number, marked, etag)
                return _without_members(number, marked, base)

    def likely_base(self, job: Job, number: int, opening: Opening) -> MemberRef | None:
        """Return the model that slices of the round are most likely asked to be compared with.

        Nothing is read for it, unless the record of the base's round is not cached.
        """
        base = self._bases.likely(job, number, opening.base, opening.named)
        if base is None:
            return None
        try:
            return self._records.locate_aggregate(job, base)
        except NotFound:  # it was taken back, or is waited for
            return None

    def read_open(self, job: Job, number: int) -> Round:
        """Return an open round as the store has it now; raise `NotFound` if it has no opening."""
        opening = self._require(job, number)
        base = self._bases.current(self._catalog.read_index(job.id), number, opening.base, opening.named)
        members = self._records.read_members(job, number)
        aggregate = self._records.read_member(job, number, AGGREGATE)
        return replace(_without_members(number, opening, base), members=members, aggregate=aggregate)

    def read_round(self, job: Job, number: int) -> Round:
        """Return a round, committed or open; raise `NotFound` if it was never opened."""
        index = self._catalog.read_index(job.id)  # raises `UnknownJob`, which says more than that the round is missing
        if record := self._records.read_record(job, number):
            return self._bases.settle(index, record)
        if number not in index.open:
            index = self._catalog.refresh(job.id)
        if number in index.open:
            return self.read_open(job, number)
        # Another gateway may have committed the round after it was looked for above and before the refresh.
        if index.is_committed(number) and (record := self._records.read_record(job, number)):
            return self._bases.settle(index, record)
        raise unknown(f"round of job {job.id!r}:", str(number), map(str, (*index.committed, *index.open)))

    def read_model(self, job: Job, number: int, client: ClientId) -> Member:
        """Return the record of an update or aggregate, which counts if the round is committed; raise `NotFound`."""
        is_open = not self._catalog.read_index(job.id).is_committed(number)
        if is_open and (member := self._records.read_member(job, number, client)):
            return member
        record = self.read_round(job, number)
        if member := record.find(client):
            return member
        raise unknown(f"model in round {number}", client, record.by_client)

    def _create(self, job: Job, number: int, named: str | None) -> tuple[Opening, str]:
        """Create a round's opening; raise `PreconditionFailed` if somebody else created one meanwhile."""
        base = self._bases.choose(job, number, named).round
        opening = Opening(base, updates=self._updates_shown(job, base), named=named)
        etag = self._write(job, number, opening, None)
        self._catalog.note_opening(job.id, number)
        return opening, etag

    def _name(
        self, job: Job, number: int, opening: Opening, etag: str, named: str, *, rename: bool
    ) -> tuple[Opening, str]:
        """Name the base of a round that is opened already; raise `PreconditionFailed` if the opening was changed."""
        if not opening.commit_begun and (rename or opening.named is None):
            base = self._bases.choose(job, number, named).round
            changed = replace(opening, base=base, updates=self._updates_shown(job, base), named=named)
            return changed, self._write(job, number, changed, etag)
        has = self._bases.current(self._catalog.read_index(job.id), number, opening.base, opening.named)
        if self._bases.agrees(job, number, named, has, opening.named):
            return opening, etag
        raise other_base(job, number, has, opening.named, named, can_rename=not opening.commit_begun)

    def _write(self, job: Job, number: int, opening: Opening, etag: str | None) -> str:
        """Replace the opening that has an etag, or create one; return the new etag."""
        body = to_bytes(opening.to_json())
        key = layout.opening(job.home, number)
        return self._store.put(key, body, if_none_match=etag is None, if_match=etag).etag

    def _read(self, job: Job, number: int) -> tuple[Opening, str] | None:
        try:
            data, etag = load_json_with_etag(self._store, layout.opening(job.home, number))
        except NotFound:
            return None
        return Opening.from_json(data), etag

    def _require(self, job: Job, number: int) -> Opening:
        found = self._read(job, number)
        if found is None:
            raise NotFound(
                f"round {number} of job {job.id!r} does not exist; it was never opened, or its job was deleted"
            )
        return found[0]

    def _updates_shown(self, job: Job, base: int | None) -> Updates | None:
        """Return what the updates of the base's round were seen to be; a job that says it need not be looked at."""
        if job.updates_stated or base is None or job.is_of_version_1:  # version 0.1.0 fails on such a field here
            return None
        record = self._records.read_record(job, base)
        return record.updates if record else None


def _without_members(number: int, opening: Opening, base: Base) -> Round:
    """Return an uncommitted round as far as its opening tells."""
    return Round(number, base.round, (), base_sha256=base.sha256, base_named=opening.named, updates=opening.updates)


@dataclass(frozen=True, slots=True)
class Rounds:
    """Everything about the rounds in a store that ingest, commit and erasure share."""

    store: ObjectStore
    generations: Generations
    catalog: Catalog
    records: Records
    bases: Bases
    openings: Openings

    @classmethod
    def over(cls, store: ObjectStore, catalog: Catalog, records: Records) -> "Rounds":
        """Return the rounds in `store`. `catalog` and `records` have to read the same store."""
        bases = Bases(catalog, records)
        return cls(store, Generations(store), catalog, records, bases, Openings(store, catalog, records, bases))

    def require(self, job: Job) -> None:
        """Raise `NotFound` if the job was deleted since it was read. Call this after every write of an object."""
        try:
            self.generations.require(job)
        except NotFound:
            self.catalog.forget(job.id)
            raise
