"""What lies in the places of member records, by etag: what a listing shows to be unchanged is not read again.

An open round is read anew for each question about it, and when it is committed. Most of it has not changed since the
last time, and what came through this gateway was in its hands. A store's listing names the etag of each object, and an
etag stands for one content (`flstore_core.storage.ObjectInfo`), so that a listing says what every place held when it
was listed.

Example: a round has 100 updates, of which 60 came through this gateway. The first question lists 100 names and reads
40 records, the next one reads none. Then a client replaces its update through another gateway: its etag is another one,
and the third question reads that record.
"""

from collections import OrderedDict
from dataclasses import dataclass
from threading import Lock

from flstore_core import layout
from flstore_core.ids import ClientId, Home
from flstore_core.records import Member

MOST_BYTES = 32 * 2**20
"""Bytes of the records that are remembered at most. Most have some hundred; metrics may make one a hundred times as
long (`services.gateway.rounds.upload.MAX_METRICS_BYTES`)."""


@dataclass(frozen=True, slots=True)
class Place:
    """What lies where a client's member record belongs: the record, the mark of its removal, or nothing."""

    client: ClientId
    member: Member | None = None
    etag: str | None = None
    """None if nothing lies there."""


class Places:
    """Places by their key in the store. Safe to share between threads.

    Args:
        budget: bytes that the records take together at most, as the store has them.
    """

    def __init__(self, budget: int = MOST_BYTES) -> None:
        self._budget = budget
        self._nbytes = 0
        self._places: OrderedDict[str, tuple[Place, int]] = OrderedDict()
        """With the bytes of each record."""
        self._lock = Lock()

    def find(self, key: str, etag: str) -> Place | None:
        """Return what lies under a key, if it is known of this etag."""
        with self._lock:
            place, _ = self._places.get(key, (None, 0))
            if place is None or place.etag != etag:
                return None
            self._places.move_to_end(key)
            return place

    def note(self, key: str, place: Place, nbytes: int) -> None:
        """Remember what lies under a key, in so many bytes."""
        with self._lock:
            self._drop(key)
            self._places[key] = (place, nbytes)
            self._nbytes += nbytes
            while self._nbytes > self._budget:
                self._drop(next(iter(self._places)))

    def forget(self, home: Home) -> None:
        """Drop all places of a job's generation."""
        prefix = layout.rounds_prefix(home)
        with self._lock:
            for key in [key for key in self._places if key.startswith(prefix)]:
                self._drop(key)

    def _drop(self, key: str) -> None:
        _, nbytes = self._places.pop(key, (None, 0))
        self._nbytes -= nbytes
