"""Erases a client from a job: its updates, its rows in statistics, its entries in round records, what was made of it.

**The steps, and the reason for their order.**

1. Look through every round of the job for traces of the client: records, files that no record names, and the records of
   committed rounds. Write down that the erasure has begun, and which uploads were found
   (`services.gateway.rounds.begun`).
2. Write a tombstone that lists the rounds with traces, with `done_at` null. Other gateways see a new tombstone at their
   next look at the store, and drop what they have cached about the job (`services.gateway.rounds.index`).
3. In each of these rounds (`services.gateway.rounds.traces`):
   a. List the client's files, and then replace its member record by the mark of its removal, on the condition that it
      is the one that was read. An upload that began before can then no longer write its record
      (`services.gateway.rounds.ingest`). In this order, because files that come later may belong to an upload that
      began after the mark, which counts.
   b. Take the client's row out of the statistics. If there are none yet, create some without rows, so that a commit
      that has listed the client already has to begin again.
   c. Take the client out of the round record. It comes after a: a commit that writes the record later looks at the
      members' records once more (`services.gateway.rounds.settlement`). An upload that began after the mark, and was
      committed before this, stays.
   d. Take the row out of the statistics again, which a commit may have written between b and c, and change them in any
      case: who has read the round record before c and computes its statistics anew can then no longer write them
      (`services.gateway.rounds.statistics`).
   e. If the round is committed, delete the mark: no upload can be counted there any more.
   f. Delete the files that were listed, which no record names any more, or can come to name. They come last: an erasure
      that breaks off before is found by them and goes on.
4. Write the tombstone again, with `rounds_done_at`. Then delete what was made of the client's updates: artifacts, and
   results of operations. A question that read the client before, and writes a model after this step, finds that the
   tombstone has changed since it read the rounds, and takes the model back (`services.gateway.answers.artifacts`).
5. Drop what this gateway has cached about the job, and have the shards that are awake drop the client's slices. Slices
   that are still on their way get a few seconds to arrive first. If they arrived later, a shard would keep them.
6. Have the store remove old versions of what was erased, if it keeps any (`ObjectStore.purge_history`).
7. Write the tombstone again, with `done_at`. Its etag changes, so other gateways drop what they cached during step 3.
   Delete the record of step 1.

**If it breaks off**, some gateway goes on with it (`Eraser.go_on`), or whoever asks for it again does. Going on takes
the same steps, but touches only the uploads of step 1, because the client may have come back since. The mark of step 3a
stays until the round has been committed. Aggregates to which the client contributed stay as they are; the answer says
of which rounds.

**Two at once.** Several gateways may go on with one erasure. Each takes all steps; the tombstone, once it says that all
is done, goes on saying so. Every write of it has a name of its own, so its etag never comes back: a gateway that knows
the tombstone of an earlier step would otherwise keep what it read then.

**Concurrent writers.** Member records, round records and statistics are replaced only if they have not changed since
they were read, so two erasures at once do not undo each other, and neither does a commit. Files are deleted without a
condition, but each belongs to one upload, and an upload that comes after the erasure has another.
"""

import logging
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

from flstore_core import layout
from flstore_core.errors import FLStoreError, NotFound, PreconditionFailed, unknown
from flstore_core.files import new_name
from flstore_core.ids import AGGREGATE, ClientId, JobId
from flstore_core.records import Job, to_bytes
from flstore_core.storage.base import HistoryRemains
from flstore_core.storage.documents import load_json_with_etag
from services.common.timing import Time
from services.gateway.backends.outbox import FORGET_AFTER_S
from services.gateway.backends.slices import Backends
from services.gateway.rounds.begun import Begun, BegunErasures
from services.gateway.rounds.index import JobIndex, UnknownJob
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.traces import Removed, Traces

logger = logging.getLogger(__name__)

ELSEWHERE = "backups and copies of the store, and what was downloaded before"
"""What no erasure reaches."""


REWRITTEN = ("statistics", "working_sets")
"""Kinds of which something is taken out, and which are not deleted."""


@dataclass(frozen=True, slots=True)
class Derived:
    """A kind of thing that is made of updates, such as artifacts."""

    kind: str
    find: Callable[[Job, ClientId], Collection[str]]
    """Returns names of what says of itself that it was made of a client's updates."""
    forget: Callable[[Job, ClientId, Collection[int]], Collection[str]]
    """Deletes what was or may have been made of a client's updates in these rounds; returns its keys."""


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure removed, and what by its nature remains."""

    client: ClientId
    rounds: tuple[int, ...]
    objects: int
    """How many objects were deleted from the store."""
    tombstone: str
    """Key of the audit record in the object store."""
    removed: Mapping[str, int] = field(default_factory=dict)
    """How many of each kind."""
    remains: Mapping[str, Any] = field(default_factory=dict)
    """`aggregates`: rounds whose aggregate the client may have contributed to. `audit_records`: keys of the records
    that name it. `old_versions`: why the store may still have some, if it may. `elsewhere`: what no erasure reaches."""

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "rounds": list(self.rounds)}


class Eraser:
    """Erases clients. Safe to share between threads.

    Args:
        name_removal: returns a name that no removal had before.
        derived: what is made of updates and kept.
    """

    def __init__(
        self,
        rounds: Rounds,
        backends: Backends,
        time: Time,
        name_removal: Callable[[], str] = new_name,
        derived: Sequence[Derived] = (),
    ) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._traces = Traces(rounds.store, rounds.records, name_removal)
        self._begun = BegunErasures(rounds.store)
        self._backends = backends
        self._time = time
        self._derived = derived
        self._name_write = name_removal
        self._seen: set[str] = set()
        """Erasures that had begun and not ended when this gateway looked last."""

    def erase(self, job: JobId, client: ClientId) -> Erasure:
        """Erase a client from every round of a job, and go on with an earlier erasure of it that broke off.

        Raises:
            NotFound: if the client never took part, or if the job was deleted meanwhile.
        """
        index = self._catalog.refresh(job)
        earlier = [self._finish(each) for each in self._begun.read_all(job) if each.client == client]
        uploads = self._find_uploads(index, client)
        if not uploads and not any(each.find(index.job, client) for each in self._derived):
            if done := [each for each in earlier if each]:
                return done[-1]
            raise unknown("client", client, index.participations)
        begun = Begun(job, index.job.generation, client, self._time.now(), uploads)
        self._begun.save(begun)
        return self._carry_out(index.job, begun, only_found=False)

    def go_on(self) -> None:
        """Finish erasures that broke off. One that was not there at the look before may still be under way."""
        begun = list(self._begun.read_all())
        waiting, self._seen = self._seen, {each.key for each in begun}
        for each in begun:
            if each.key in waiting:
                try:
                    self._finish(each)
                except FLStoreError as error:
                    logger.warning("erasure not finished", extra={"job": each.job, "error": error.detail})

    def _finish(self, begun: Begun) -> Erasure | None:
        """Go on with an erasure that broke off; return None if its job was deleted, and everything with it."""
        with suppress(UnknownJob):
            job = self._catalog.refresh(begun.job).job
            if job.generation == begun.generation:
                return self._carry_out(job, begun, only_found=True)
        self._note(begun, rounds_done_at=None, objects=0, done_at=self._time.now())
        self._begun.delete(begun)
        return None

    def _find_uploads(self, index: JobIndex, client: ClientId) -> dict[int, tuple[str, ...]]:
        """Return the client's uploads by round; a round that only names the client has none, and is listed too."""
        numbers = [*index.committed, *index.open]
        found = self._records.readers.map(lambda number: self._traces.find(index.job, number, client), numbers)
        uploads = {number: names for number, names in zip(numbers, found, strict=True) if names}
        return {**dict.fromkeys(index.participations.get(client, ()), ()), **uploads}

    def _carry_out(self, job: Job, begun: Begun, *, only_found: bool) -> Erasure:
        """Take the steps from 2 on.

        Args:
            only_found: whether to leave alone what was not there when the erasure began.
        """
        client, rounds = begun.client, begun.rounds
        self._note(begun)
        parts = [
            self._traces.remove(job, number, client, names if only_found else None)
            for number, names in sorted(begun.uploads.items())
        ]
        self._note(begun, rounds_done_at=(rounds_done_at := self._time.now()))
        removed = asdict(sum(parts, Removed()))
        made = {each.kind: each.forget(job, client, rounds) for each in self._derived}
        removed |= {kind: len(keys) for kind, keys in made.items()}
        self._drop_from_caches(job, client)
        history = self._purge_history(job, begun, {key for keys in made.values() for key in keys})
        objects = sum(count for kind, count in removed.items() if kind not in REWRITTEN)
        self._note(begun, rounds_done_at=rounds_done_at, objects=objects, done_at=self._time.now())
        self._begun.delete(begun)
        self._rounds.require(job)
        remains = self._find_remains(job, begun)
        if isinstance(history, int):
            removed["old_versions"] = history
        else:
            remains["old_versions"] = history
        return Erasure(client, rounds, objects, begun.tombstone, removed, remains)

    def _note(self, begun: Begun, **more: Any) -> None:
        """Write the tombstone. One that says that all is done stays so, whoever else still goes on with the erasure.

        No two writes are equal, so that no etag comes back: a gateway that looked before the erasure and after it would
        take them for the same.
        """
        entry = {"job": begun.job, "client": begun.client, "rounds": list(begun.rounds), "asked_at": begun.asked_at}
        while True:
            stored, etag = self._read_tombstone(begun)
            news = stored if stored.get("done_at") and not more.get("done_at") else more
            written = {**entry, "done_at": None, **news, "write": self._name_write()}
            with suppress(PreconditionFailed):  # somebody else goes on with it too
                self._store.put(begun.tombstone, to_bytes(written), if_none_match=etag is None, if_match=etag)
                return

    def _read_tombstone(self, begun: Begun) -> tuple[dict[str, Any], str | None]:
        try:
            return load_json_with_etag(self._store, begun.tombstone)
        except NotFound:
            return {}, None

    def _drop_from_caches(self, job: Job, client: ClientId) -> None:
        self._catalog.forget(job.id)
        self._backends.outbox.settle(job.id, FORGET_AFTER_S)
        self._backends.caches.forget_client(self._backends.placement.fetch_awake(), job.id, client)

    def _purge_history(self, job: Job, begun: Begun, keys: Collection[str]) -> int | str:
        """Have the store remove old versions of what was erased; return how many, or why they may be left."""
        in_rounds = partial(is_of_client, job, begun)
        folders = {key.rpartition("/")[0] for key in keys}
        try:
            count = self._store.purge_history(layout.rounds_prefix(job.home), in_rounds)
            return count + sum(self._store.purge_history(folder, keys.__contains__) for folder in sorted(folders))
        except HistoryRemains as error:
            return error.detail

    def _find_remains(self, job: Job, begun: Begun) -> dict[str, Any]:
        return {
            "aggregates": [number for number in begun.rounds if self._records.read_member(job, number, AGGREGATE)],
            "audit_records": sorted(
                info.key
                for info in self._store.list(layout.audit_prefix(job.id))
                if is_about(info.key, job.id, begun.client)
            ),
            "elsewhere": ELSEWHERE,
        }


def is_of_client(job: Job, begun: Begun, key: str) -> bool:
    """Say whether an object in a round may have something of the client, now or in an earlier version."""
    number, _, name = key.removeprefix(layout.rounds_prefix(job.home)).partition("/")
    if name in ("round.json", "statistics.safetensors"):
        return int(number) in begun.rounds
    return re.fullmatch(rf"clients/{re.escape(begun.client)}((~[^/]*)?\.safetensors|\.json)", name) is not None


def is_about(key: str, job: JobId, client: ClientId) -> bool:
    """Say whether an audit record is about a client. One of the client `a-1` also begins with `a-`."""
    name = layout.audit(job, f"{client}-").removesuffix(".json")
    return re.fullmatch(rf"{re.escape(name)}[0-9]+\.[0-9]{{6}}(-[^/]*)?\.json", key) is not None
