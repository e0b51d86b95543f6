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

MOST = 20_000
"""Places that are remembered at most, of a kilobyte or so each."""


@dataclass(frozen=True, slots=True)
class Place:
    """What lies where a client's member record belongs: the record, the mark of its removal, or nothing."""

    client: ClientId
    member: Member | None = None
    etag: str | None = None
    """None if nothing lies there."""


class Places:
    """Places by their key in the store. Safe to share between threads."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._places: OrderedDict[str, Place] = OrderedDict()
        self._lock = Lock()

    def find(self, key: str, etag: str) -> Place | None:
        """Return what lies under a key, if it is known of this etag."""
        with self._lock:
            place = self._places.get(key)
            if place is None or place.etag != etag:
                return None
            self._places.move_to_end(key)
            return place

    def note(self, key: str, place: Place) -> None:
        """Remember what lies under a key."""
        with self._lock:
            self._places[key] = place
            self._places.move_to_end(key)
            if len(self._places) > self._most:
                self._places.popitem(last=False)

    def forget(self, home: Home) -> None:
        """Drop all places of a job's generation."""
        prefix = layout.rounds_prefix(home)
        with self._lock:
            for key in [key for key in self._places if key.startswith(prefix)]:
                del self._places[key]
