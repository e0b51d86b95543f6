"""The generations of jobs: begun, looked up, deleted. Only this module writes a job's record.

**The idea.** A job that is deleted and made anew is another job under the same name. Each has a *generation*, a random
name that is part of the key of everything the job stores (`flstore_core.layout`). So no deletion, however late, can
touch what belongs to a successor, and no upload, however late, can get into one. The job's record, `job.json`, says
which generation the name means now. It is only ever replaced by its etag, so all who change it agree on one order:

    nothing ──propose──▶ proposed ──settle──▶ live ──delete──▶ deleting ──finish──▶ deleted
                 ▲           │ withdraw                           │                    │
                 └───────────┴────────────────────────────────────┴────────────────────┘
                              a new generation may be proposed at any of these

*Proposed* is a job whose place among the shards is still sought. Gateways answer as if it did not exist. So nothing can
be lost when no shard can hold it and it is withdrawn.

*Deleting* is the mark that ends a generation. The sweep of its objects comes after the mark, and whoever looks at the
job goes on with a sweep that broke off. *Deleted* says that the sweep has been done. The record itself stays: stores
cannot delete on a condition, and an unconditional deletion that comes late would take a successor's record.

**Why nothing is acknowledged into a generation that has ended.** Whoever writes an object of a job looks at the job's
record afterwards (`require`). If the generation stands, the mark comes later than the write, and the sweep, which comes
later than the mark, finds what was written. If it does not stand, the writer sweeps and fails.

**What a sweep may delete.** It lists what lies below the job's name, and reads the record after that. Whatever it has
listed was written by a generation that had begun by then. Generations never come back, so everything that is not of
the generation in the record has ended for good, whatever happens next.

Jobs of version 0.1.0 have no generation. Theirs is the empty one, whose objects lie where that version put them.
"""

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from secrets import token_hex
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed
from flstore_core.formats import require_format
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import CorruptDocument, load_json, load_json_with_etag

VERSION = 2
"""Of the format of job records. Records of version 0.1.0 say none."""

_FOR_VERSION_1 = [{"name": "needs-a-later-version-of-FLStore", "dtype": "F32", "shape": [1]}]
"""Stands where version 0.1.0 looks for the schema. That version would read and write where the generation is not, so
no upload may pass its check; and a record that it could not read would keep it from listing any job."""


class State(StrEnum):
    """What a job's record says of the generation in it."""

    PROPOSED = "proposed"
    LIVE = "live"
    DELETING = "deleting"
    DELETED = "deleted"


class BeingDeleted(NotFound):
    """A job's deletion has begun and not ended."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed job, and the etag of its record."""

    job: Job
    etag: str


def new_generation() -> str:
    """Return the name of a generation that there never was: 64 random bits."""
    return f"g{token_hex(8)}"


class Generations:
    """Jobs' records in a store. Safe to share between threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def read(self, job: JobId) -> Job:
        """Return a live job, and go on with a deletion that broke off.

        Raises:
            NotFound: if there is none.
            CorruptDocument: if its record is none.
            NewerFormat: if its record has a format of a later version.
        """
        document = self._load(job)
        state = _state(document)
        if state is State.DELETING:
            self._finish(job)
        if state is not State.LIVE:
            raise NotFound(f"there is no job {job!r}")
        return _job(document)

    def read_placeable(self, job: JobId) -> Job:
        """Return a job that is live or proposed.

        Raises:
            BeingDeleted: if its deletion has begun and not ended.
            NotFound: if there is none.
        """
        document = self._load(job)
        if _state(document) is State.DELETING:
            raise BeingDeleted(f"job {job!r} is being deleted")
        if _state(document) not in (State.LIVE, State.PROPOSED):
            raise NotFound(f"there is no job {job!r}")
        return _job(document)

    def begin(self, job: Job) -> bool:
        """Store a live job; return False if there is one of that name."""
        begun = self._write(job, State.LIVE) is not None
        if begun:
            self.sweep(job.id)
        return begun

    def propose(self, job: Job) -> Proposal | None:
        """Propose a job; return None if there is a live one of that name.

        Returns:
            The proposal of somebody else if it is for the same job: it may be one that was given up.
        """
        return self._write(job, State.PROPOSED)

    def settle(self, proposal: Proposal) -> bool:
        """Make a proposed job a live one; return False if somebody changed the record meanwhile."""
        try:
            self._put(_document(proposal.job, State.LIVE), proposal.job.id, proposal.etag)
        except PreconditionFailed:
            return False
        self.sweep(proposal.job.id)
        return True

    def withdraw(self, proposal: Proposal) -> None:
        """Take a proposal back, unless somebody changed the record meanwhile."""
        with suppress(PreconditionFailed):
            self._put(_deleted(proposal.job.id, proposal.job.generation), proposal.job.id, proposal.etag)

    def delete(self, job: JobId) -> None:
        """Delete a job and everything that it stored, or go on with a deletion that broke off.

        Raises:
            NotFound: if there is no job, or none any more.
        """
        while True:
            document, etag = self._load_with_etag(job)
            state = _state(document)
            if state is State.DELETED:
                raise NotFound(f"there is no job {job!r}")
            try:
                if state is not State.DELETING:
                    self._put(_marked(document), job, etag)
            except PreconditionFailed:
                continue
            self._finish(job)
            return

    def finish_deletion(self, job: JobId) -> None:
        """Go on with a deletion that has begun; do nothing if it has ended, or a new generation begun."""
        if _state(self._load(job)) is State.DELETING:
            self._finish(job)

    def require(self, job: Job) -> None:
        """Raise `NotFound` unless the job still stands as it was read. To be called after every write of an object."""
        if not self._stands(job):
            self.sweep(job.id)
            raise NotFound(f"job {job.id!r} was deleted meanwhile")

    def sweep(self, job: JobId) -> None:
        """Delete everything of the job's generations that have ended."""
        prefix = layout.job_prefix(job)
        folders = list(self._store.folders(prefix))
        keys = [info.key for info in self._store.list(prefix, recursive=False)]
        try:
            document = self._load(job)  # after the listing: see above
        except NotFound:  # deleted by version 0.1.0, which may put a job of the empty generation here again
            return
        living = document.get("generation", "") if _state(document) in (State.LIVE, State.PROPOSED) else None
        if living == "":
            return
        for folder in folders:
            if folder != living:
                self._store.delete_prefix(f"{prefix}{folder}/")
        for key in keys:
            if key != layout.job(job):
                self._store.delete(key)

    def _write(self, job: Job, state: State) -> Proposal | None:
        while True:
            try:
                document, etag = self._load_with_etag(job.id)
            except NotFound:
                document, etag = {}, None
            if document and _state(document) is State.LIVE:
                return None
            if document and _state(document) is state and (other := _job(document)) == job:
                assert etag
                return Proposal(other, etag)
            with suppress(PreconditionFailed):
                return Proposal(job, self._put(_document(job, state), job.id, etag))

    def _finish(self, job: JobId) -> None:
        """Sweep the generation that is marked, and say that this is done. Somebody else may do the same."""
        self.sweep(job)
        document, etag = self._load_with_etag(job)
        if _state(document) is State.DELETING:
            with suppress(PreconditionFailed):
                self._put(_deleted(job, document.get("generation", "")), job, etag)

    def _stands(self, job: Job) -> bool:
        try:
            document = self._load(job.id)
        except NotFound:
            return False
        return _state(document) is State.LIVE and _job(document).is_same(job)

    def _load(self, job: JobId) -> dict[str, Any]:
        return _checked(load_json(self._store, layout.job(job)))

    def _load_with_etag(self, job: JobId) -> tuple[dict[str, Any], str]:
        document, etag = load_json_with_etag(self._store, layout.job(job))
        return _checked(document), etag

    def _put(self, document: dict[str, Any], job: JobId, etag: str | None) -> str:
        """Replace the record of that etag, or create it if `etag` is None; return the new etag."""
        body = to_bytes(document)
        return self._store.put(layout.job(job), body, if_none_match=etag is None, if_match=etag).etag


def _checked(document: Any) -> dict[str, Any]:
    if not isinstance(document, dict):
        raise CorruptDocument("a job's record is not a JSON object")
    require_format("a job's record", document, VERSION, "version")
    return document


def _state(document: dict[str, Any]) -> State:
    try:
        return State(document.get("state", State.LIVE))
    except ValueError as error:
        raise CorruptDocument("a job's record is in a state that this version does not know") from error


def _job(document: dict[str, Any]) -> Job:
    try:
        return Job.from_json(document)
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptDocument(f"a job's record cannot be read: {error!r}") from error


def _document(job: Job, state: State) -> dict[str, Any]:
    record = job.to_json()
    return record | {"version": VERSION, "schema": _FOR_VERSION_1, "tensors": record["schema"], "state": state.value}


def _marked(document: dict[str, Any]) -> dict[str, Any]:
    """Return a record with the mark that ends its generation. What else it says stays, known or not."""
    marked = {**document, "version": VERSION, "state": State.DELETING.value}
    return marked if "tensors" in document else marked | {"schema": _FOR_VERSION_1, "tensors": document["schema"]}


def _deleted(job: JobId, generation: str) -> dict[str, Any]:
    """Return what stays of a deleted job. The settings are what version 0.1.0 cannot do without."""
    return {
        "version": VERSION,
        "job": job,
        "generation": generation,
        "state": State.DELETED.value,
        "schema": _FOR_VERSION_1,
        "statistics": "off",
        "clients_per_round": 1,
        "hot_rounds": 1,
        "replicas": 1,
        "slices": None,
    }
