"""Erases a client from a job: its updates, its rows in statistics and its entries in round records.

**The steps, and the reason for their order.**

1. Look up the client's rounds, both committed and open ones.
2. Write a tombstone that lists them, with `done_at` null. Other gateways see a new tombstone at their next look at the
   store, and drop what they have cached about the job (`services.gateway.rounds.index`).
3. In each round, take the client's row out of the statistics, delete its tensors and its member record, and then take
   the client out of the round record. The statistics come first: if the erasure breaks off, the next one finds the
   round by the member record or the round record, so what neither of them names has to be gone before they are. The
   statistics are looked at once more at the end, because a commit may have written them and the round record meanwhile.
4. Drop what this gateway has cached about the job, and have the shards that are awake drop the client's slices. Slices
   that are still on their way get a few seconds to arrive first. If they arrived later, a shard would keep them.
5. Write the tombstone again, with `done_at`. Its etag changes, so other gateways drop what they cached during step 3.

Models to which the client contributed, such as aggregates and artifacts, stay as they are.

**Concurrent writers.** Round records and statistics are replaced only if they have not changed since they were read, so
two erasures at once do not undo each other. An erasure does not stop commits. A commit that listed the client before
step 3 may write its round record after step 3. Then the record, and perhaps the statistics, still name the client,
although its tensors are gone. Erasing the client again removes it from both.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound, PreconditionFailed, unknown
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Job, Round, to_bytes
from flstore_core.statistics import RoundStatistics
from services.common.timing import Time
from services.gateway.backends.outbox import FORGET_AFTER_S
from services.gateway.backends.slices import Backends
from services.gateway.rounds.index import JobIndex
from services.gateway.rounds.opening import Rounds


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

    def __init__(self, rounds: Rounds, backends: Backends, time: Time) -> None:
        self._store = rounds.store
        self._catalog = rounds.catalog
        self._records = rounds.records
        self._backends = backends
        self._time = time

    def erase(self, job: JobId, client: ClientId) -> Erasure:
        """Erase a client from every round of a job. Call it again after an error to finish the work.

        Raises:
            NotFound: if the client never took part.
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
        return Erasure(client, tuple(numbers), objects, tombstone)

    def _find_rounds(self, index: JobIndex, client: ClientId) -> list[int]:
        open_rounds = [number for number in index.open if self._records.read_member(index.job, number, client)]
        numbers = sorted({*index.participations.get(client, ()), *open_rounds})
        if not numbers:
            raise unknown("client", client, index.participations)
        return numbers

    def _erase_from(self, job: Job, number: int, client: ClientId) -> int:
        """Erase a client from one round and return how many objects were deleted."""
        self._erase_from_statistics(job, number, client)
        keys = (layout.tensors(job.home, number, client), layout.member(job.home, number, client))
        for key in keys:
            self._store.delete(key)
        self._rewrite(layout.round_record(job.home, number), lambda body: _record_without(client, body))
        self._erase_from_statistics(job, number, client)
        return len(keys)

    def _erase_from_statistics(self, job: Job, number: int, client: ClientId) -> None:
        self._rewrite(layout.statistics(job.home, number), lambda body: _statistics_without(client, body))

    def _rewrite(self, key: str, change: Callable[[bytes], bytes | None]) -> None:
        """Replace an object by what `change` returns for its bytes, unless that is None or there is no such object.

        If somebody else replaces the object meanwhile, begin again with the new one.
        """
        while True:
            try:
                body, info = self._store.get_with_info(key)
                if changed := change(body):
                    self._store.put(key, changed, if_match=info.etag)
            except PreconditionFailed:
                continue
            except NotFound:
                pass
            return


def _statistics_without(client: ClientId, body: bytes) -> bytes | None:
    """Return statistics without a client's row; None if they have no such row."""
    statistics = RoundStatistics.from_bytes(body)
    if client not in statistics.members:
        return None
    return statistics.take([member for member in statistics.members if member != client]).to_bytes()


def _record_without(client: ClientId, body: bytes) -> bytes | None:
    """Return a round record without a client; None if it does not name the client."""
    record = Round.from_json(json.loads(body))
    if client not in record.by_client:
        return None
    members = tuple(member for member in record.members if member.client != client)
    return to_bytes(replace(record, members=members).to_json())
