"""Erases a client from a job: its updates, its rows in statistics and its entries in round records.

**The steps, and the reason for their order.**

1. Look through every round of the job for traces of the client: records, files that no record names, and the records of
   committed rounds.
2. Write a tombstone that lists the rounds with traces, with `done_at` null. Other gateways see a new tombstone at their
   next look at the store, and drop what they have cached about the job (`services.gateway.rounds.index`).
3. In each of these rounds:
   a. List the client's files, and then replace its member record by the mark of its removal, on the condition that it
      is the one that was read. An upload that began before can then no longer write its record
      (`services.gateway.rounds.ingest`). In this order, because files that come later may belong to an upload that
      began after the mark, which counts.
   b. Take the client's row out of the statistics. If there are none yet, create some without rows, so that a commit
      that has listed the client already has to begin again.
   c. Take the client out of the round record. It comes after a: a commit that writes the record later looks at the
      members' records once more (`services.gateway.rounds.settlement`).
   d. Take the row out of the statistics again, which a commit may have written between b and c, and change them in any
      case: who has read the round record before c and computes its statistics anew can then no longer write them
      (`services.gateway.rounds.statistics`).
   e. If the round is committed, delete the mark: no upload can be counted there any more.
   f. Delete the files that were listed, which no record names any more, or can come to name. They come last: an erasure
      that breaks off before is found by them and goes on.
4. Drop what this gateway has cached about the job, and have the shards that are awake drop the client's slices. Slices
   that are still on their way get a few seconds to arrive first. If they arrived later, a shard would keep them.
5. Write the tombstone again, with `done_at`. Its etag changes, so other gateways drop what they cached during step 3.

An erasure that broke off is asked for again, and finds what is left by step 1. The mark of step 3a stays until the
round has been committed. Models to which the client contributed, such as aggregates and artifacts, stay as they are.

**Concurrent writers.** Member records, round records and statistics are replaced only if they have not changed since
they were read, so two erasures at once do not undo each other, and neither does a commit. Files are deleted without a
condition, but each belongs to one upload, and an upload that comes after the erasure has another.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound, unknown
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, to_bytes
from services.common.timing import Time
from services.gateway.backends.outbox import FORGET_AFTER_S
from services.gateway.backends.slices import Backends
from services.gateway.rounds.index import JobIndex
from services.gateway.rounds.ingest import new_name
from services.gateway.rounds.opening import Rounds
from services.gateway.rounds.removal import mark_any_removal, take_out_of_statistics
from services.gateway.rounds.settlement import Settlement, drop_member, drop_rows


@dataclass(frozen=True, slots=True)
class Erasure:
    """What an erasure removed."""

    client: ClientId
    rounds: tuple[int, ...]
    objects: int
    """How many objects were deleted from the store."""
    tombstone: str
    """Key of the audit record in the object store."""

    def to_json(self) -> dict[str, Any]:
        return {
            "client": self.client,
            "rounds": list(self.rounds),
            "objects": self.objects,
            "tombstone": self.tombstone,
        }


class Eraser:
    """Erases clients. Safe to share between threads."""

    def __init__(
        self, rounds: Rounds, backends: Backends, time: Time, name_removal: Callable[[], str] = new_name
    ) -> None:
        self._rounds = rounds
        self._store = rounds.store
        self._settlement = Settlement(rounds.store)
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._backends = backends
        self._time = time
        self._name_removal = name_removal

    def erase(self, job: JobId, client: ClientId) -> Erasure:
        """Erase a client from every round of a job. Call it again after an error to finish the work.

        Raises:
            NotFound: if the client never took part, or if the job was deleted meanwhile.
        """
        index = self._catalog.refresh(job)
        numbers = self._find_rounds(index, client)
        asked_at = self._time.now()
        tombstone = layout.audit(job, f"{client}-{asked_at:.6f}")
        entry = {"job": job, "client": client, "rounds": numbers, "asked_at": asked_at, "done_at": None}
        self._store.put(tombstone, to_bytes(entry))
        objects = sum(self._erase_from(index.job, number, client) for number in numbers)
        self._catalog.forget(job)
        self._backends.outbox.settle(job, FORGET_AFTER_S)
        self._backends.caches.forget_client(self._backends.placement.fetch_awake(), job, client)
        self._store.put(tombstone, to_bytes({**entry, "objects": objects, "done_at": self._time.now()}))
        self._rounds.require(index.job)
        return Erasure(client, tuple(numbers), objects, tombstone)

    def _find_rounds(self, index: JobIndex, client: ClientId) -> list[int]:
        numbers = [*index.committed, *index.open]
        traces = self._records.readers.map(lambda number: self._has_traces(index.job, number, client), numbers)
        traced = {number for number, has_traces in zip(numbers, traces, strict=True) if has_traces}
        if rounds := sorted(traced.union(index.participations.get(client, ()))):
            return rounds
        raise unknown("client", client, index.participations)

    def _has_traces(self, job: Job, number: int, client: ClientId) -> bool:
        return bool(self._list_files(job, number, client) or self._records.read_member(job, number, client))

    def _list_files(self, job: Job, number: int, client: ClientId) -> set[str]:
        """Return the keys of all files that uploads of a client have written to a round."""
        own = layout.tensors(job.home, number, client, "*").partition("*")[0]
        keys = [info.key for info in self._store.list(layout.clients_prefix(job.home, number))]
        return {key for key in keys if key == layout.tensors(job.home, number, client) or key.startswith(own)}

    def _erase_from(self, job: Job, number: int, client: ClientId) -> int:
        """Erase a client from one round and return how many objects were deleted."""
        files = self._list_files(job, number, client)
        removal = self._name_removal()
        member = mark_any_removal(self._store, self._records, job, number, client, removal)
        take_out_of_statistics(self._store, job, number, client)
        drop_member(self._store, layout.round_record(job.home, number), client)
        drop_rows(self._store, layout.statistics(job.home, number), {client}, mark=removal)
        self._clear_place(job, number, client)
        if member:
            files.add(layout.tensors(job.home, number, client, member.upload))
        for key in sorted(files):
            self._store.delete(key)
        return len(files) + bool(member)

    def _clear_place(self, job: Job, number: int, client: ClientId) -> None:
        """Delete the mark of a removal from a committed round: no upload can be counted there any more."""
        with suppress(NotFound):
            self._settlement.read(job.home, number)
            self._store.delete(layout.member(job.home, number, client))
