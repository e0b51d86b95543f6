"""Erases a client: its updates, its rows in every round's statistics and records; a tombstone says that it was done."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from flstore_core import layout
from flstore_core.errors import NotFound
from flstore_core.ids import ClientId, JobId
from flstore_core.records import Round, to_bytes
from flstore_core.statistics import RoundStatistics
from flstore_core.storage import ObjectStore
from services.gateway.backends.caches import Caches
from services.gateway.backends.placement import Placement
from services.gateway.rounds.index import Catalog
from services.gateway.rounds.records import Rounds


@dataclass(frozen=True, slots=True)
class Erasure:
    """What was erased."""

    client: ClientId
    rounds: tuple[int, ...]
    objects: int
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
    """Erases clients. Models made with a client's help — aggregates, artifacts — are not changed by this."""

    def __init__(
        self,
        store: ObjectStore,
        catalog: Catalog,
        rounds: Rounds,
        placement: Placement,
        caches: Caches,
        now: Callable[[], float],
    ) -> None:
        self._store = store
        self._catalog = catalog
        self._rounds = rounds
        self._placement = placement
        self._caches = caches
        self._now = now

    def erase(self, job: JobId, client: ClientId) -> Erasure:
        """Erase a client from every round of a job; broken off, it can be asked for again and goes on.

        Raises:
            NotFound: if the client never took part.
        """
        index = self._catalog.refresh(job)
        open_ = [number for number in index.open if self._rounds.member(job, number, client)]
        numbers = sorted({*index.participations.get(client, ()), *open_})
        if not numbers:
            index.rounds_of(client)
            raise NotFound(f"client {client!r} has no updates in job {job!r}")
        at = self._now()
        tombstone = layout.audit(job, f"{client}-{at:.6f}")
        entry = {"job": job, "client": client, "rounds": numbers, "asked_at": at, "done_at": None}
        self._store.put(tombstone, to_bytes(entry))
        objects = sum(self._erase_from(job, number, client) for number in numbers)
        self._catalog.forget(job)
        self._caches.forget_client(self._placement.fetch_awake(), job, client)
        self._store.put(tombstone, to_bytes({**entry, "objects": objects, "done_at": self._now()}))
        return Erasure(client, tuple(numbers), objects, tombstone)

    def _erase_from(self, job: JobId, number: int, client: ClientId) -> int:
        """Erase a client's trace from one round: statistics, then tensors and record, then its entry in the round."""
        self._thin_out_statistics(job, number, client)
        objects = 0
        for key in (layout.tensors(job, number, client), layout.member(job, number, client)):
            self._store.delete(key)
            objects += 1
        record = self._rounds.record(job, number)
        if record:
            kept = tuple(member for member in record.members if member.client != client)
            self._rewrite(job, replace(record, members=kept))
        return objects

    def _thin_out_statistics(self, job: JobId, number: int, client: ClientId) -> None:
        key = layout.statistics(job, number)
        try:
            statistics = RoundStatistics.from_bytes(self._store.get(key))
        except NotFound:
            return
        if client in statistics.members:
            kept = statistics.take([member for member in statistics.members if member != client])
            self._store.put(key, kept.to_bytes())

    def _rewrite(self, job: JobId, record: Round) -> None:
        self._store.put(layout.round_record(job, record.number), to_bytes(record.to_json()))
