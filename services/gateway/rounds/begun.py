"""Erasures that have begun and not ended: a small record of each, by which one that broke off goes on by itself.

The record is written before anything is erased, and deleted when all is done. It lists the uploads that were found
then. Whoever goes on with the erasure touches these alone: the client may have asked again in the meantime, have been
answered, and have come back with new updates.
"""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from flstore_core import layout
from flstore_core.errors import NewerFormat, NotFound
from flstore_core.formats import require_format
from flstore_core.ids import ClientId, JobId
from flstore_core.storage import ObjectStore
from flstore_core.storage.documents import CorruptDocument, load_json, save_json

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Begun:
    """An erasure that has begun."""

    job: JobId
    generation: str
    """Of the job."""
    client: ClientId
    asked_at: float
    """Seconds since the epoch."""
    uploads: Mapping[int, tuple[str, ...]]
    """The client's uploads by round. An update of version 0.1.0 has the name ""."""

    @property
    def name(self) -> str:
        return f"{self.client}-{self.asked_at:.6f}"

    @property
    def key(self) -> str:
        return layout.erasure(self.job, self.name)

    @property
    def tombstone(self) -> str:
        """Key of the audit record."""
        return layout.audit(self.job, self.name)

    @property
    def rounds(self) -> tuple[int, ...]:
        """Ascending."""
        return tuple(sorted(self.uploads))

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Begun":
        require_format("the record of an erasure", data)
        uploads = {int(number): tuple(names) for number, names in data["uploads"].items()}
        job, client = JobId(data["job"]), ClientId(data["client"])
        return cls(job, data["generation"], client, data["asked_at"], uploads)


class BegunErasures:
    """The records of erasures that have begun. Safe to share between threads."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def save(self, begun: Begun) -> None:
        save_json(self._store, begun.key, asdict(begun))

    def delete(self, begun: Begun) -> None:
        self._store.delete(begun.key)

    def read_all(self, job: JobId | None = None) -> Iterator[Begun]:
        """Yield all that have begun, or those of a job. A record that cannot be read is told in the log, and left."""
        for info in list(self._store.list(layout.erasures_prefix(job))):
            try:
                begun = Begun.from_json(load_json(self._store, info.key))
            except NotFound:  # it has ended meanwhile
                continue
            except (CorruptDocument, NewerFormat, AttributeError, KeyError, TypeError, ValueError) as error:
                logger.error("record of an erasure cannot be read", extra={"key": info.key, "error": repr(error)})
                continue
            yield begun
