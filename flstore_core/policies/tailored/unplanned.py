"""What the tailored policy holds outside its plan: a small cache for what nobody could foresee.

Two queues, as in 2Q (Johnson and Shasha, "2Q: a low overhead high performance buffer management replacement
algorithm", VLDB 1994): objects that no request has read since they came leave first, so that the stream of new updates
does not wash out what is in use.

Example (`tests/policies/tailored/test_unplanned.py` runs it): updates a, b and c arrive, then a request reads a. The
unread queue is b, c and the read queue is a. Needing room for two objects evicts b and c; needing room for three evicts
a as well, although it came first.

An update of an open round that is awaited, because rounds are requested before they are committed, counts as read from
the start. Otherwise a cache in which everything has been read would take in no update, and each of those requests would
miss a whole round.
"""

from collections.abc import Container

from flstore_core.policies.base import Key, Victims, take_first


class Unplanned:
    """Unplanned objects, and which of them leaves first."""

    def __init__(self) -> None:
        self.bytes = 0
        # Plain dicts: faster than `OrderedDict` for few objects, and at 10,000 still within 8 µs of their front.
        self._read: dict[Key, int] = {}
        """The least recently read first."""
        self._unread: dict[Key, int] = {}
        """The oldest first."""

    def put(self, key: Key, size: int, was_read: bool) -> None:
        """Take in a cached object; `was_read` says whether a request has read it."""
        self.bytes += size
        if was_read:
            self._read[key] = size
        else:
            self._unread[key] = size

    def drop(self, key: Key) -> bool:
        """Let go of an object that was discarded or planned, if it is here; return whether a request has read it."""
        size = self._unread.pop(key, None)
        if size is not None:
            self.bytes -= size
            return False
        size = self._read.pop(key, None)
        if size is None:
            return False
        self.bytes -= size
        return True

    def touch(self, key: Key) -> None:
        """Learn that a request reads `key`, here or not."""
        size = self._read.pop(key, None)
        if size is None:
            size = self._unread.pop(key, None)
        if size is not None:
            self._read[key] = size

    def makes_way(self, newest: int, awaited: bool) -> bool:
        """Return whether to evict an object for one that just arrived, where `newest` is the last committed round.

        What was read leaves only for one that is awaited. The updates of open rounds never push each other out: those
        that stay need not be fetched at the commit.
        """
        queues = (self._unread, self._read) if awaited else (self._unread,)
        return any(bool(queue) and next(iter(queue)).round <= newest for queue in queues)

    def evict(self, needed: int, pinned: Container[Key]) -> list[Victims]:
        """Let go of objects, none of `pinned`, that come to `needed` bytes; of all if they never do."""
        victims: list[Victims] = []
        for queue, reason in ((self._unread, "never-asked"), (self._read, "least-recent")):
            if queue and needed > 0:
                evicted = take_first(queue, needed, pinned)
                freed = sum(evicted.values())
                self.bytes -= freed
                needed -= freed
                victims.append((evicted, reason))
        return victims
