"""What the tailored policy holds without having planned it: an LRU cache for all that nobody could foresee.

Objects that were asked for and objects that only arrived (or were fetched in vain) are kept apart, as in 2Q (Johnson
and Shasha, VLDB 1994), so that the stream of new updates does not wash out what is in use. When something asked for
counts as forgotten is learned, as for any kind of group, from requests for objects that are gone as well.
"""

from collections import OrderedDict
from collections.abc import Container, Iterable, Mapping

from flstore_core.policies.base import Key, Victim
from flstore_core.policies.groups import LEAST_CHANCE
from flstore_core.policies.hazard import Hazard

REVIEW = 16
"""Requests after which is worked out anew when that is."""

GHOSTS = 512
"""Objects whose last request is remembered, held or not."""


class Leftovers:
    """Unplanned objects, and which of them goes first."""

    def __init__(self, hazard: Hazard, sizes: Mapping[Key, int]) -> None:
        self.bytes = 0
        self._hazard = hazard
        self._sizes = sizes
        """Bytes of every held object."""
        self._asked: OrderedDict[Key, float] = OrderedDict()
        """When each was asked for last, the least recent first."""
        self._fresh: OrderedDict[Key, None] = OrderedDict()
        """Never asked for since they came, the oldest first."""
        self._history: OrderedDict[Key, float] = OrderedDict()
        """When objects were asked for last, held or not, the least recent first."""
        self._requests = 0
        self._memory = 0.0
        """Seconds after which what was asked for is forgotten."""

    def put(self, key: Key, asked: float | None) -> None:
        """Take in a held object that was last asked for at second `asked`, or never."""
        self.bytes += self._sizes[key]
        if asked is None:
            self._fresh[key] = None
        else:
            self._asked[key] = self._history[key] = asked

    def drop(self, key: Key) -> float | None:
        """Let go of an object, evicted or planned; return when it was last asked for."""
        self.bytes -= self._sizes[key]
        asked = self._asked.pop(key, None)
        if asked is None:
            del self._fresh[key]
        return asked

    def touch(self, keys: Iterable[Key], now: float, gap: float) -> None:
        """Learn of a request at second `now`, `gap` seconds being usual between two."""
        for key in keys:
            if key in self._asked:
                self._asked[key] = now
                self._asked.move_to_end(key)
            elif key in self._fresh:
                del self._fresh[key]
                self._asked[key] = now
            self._remember(key, now)
        self._requests += 1
        if self._requests % REVIEW == 1:
            self._memory = self._hazard.lasts(gap, LEAST_CHANCE)

    def takes_arrival(self, newest: int, now: float) -> bool:
        """Say whether to give up an object for one that just arrived, where round `newest` is the last committed.

        Updates of open rounds do not push each other out: those that stay need not be fetched at the commit.
        """
        for fresh in self._fresh:
            if fresh.round <= newest:
                return True
            break
        for oldest in self._asked.values():
            return now - oldest > self._memory
        return False

    def victim(self, pinned: Container[Key], now: float) -> Victim | None:
        """Name the next object to go: what is forgotten, then what was never asked for, then the least recent."""
        for key, asked in self._asked.items():
            if now - asked <= self._memory:
                break
            if key not in pinned:
                return key, "least-recent"
        for key in self._fresh:
            if key not in pinned:
                return key, "never-asked"
        for key in self._asked:
            if key not in pinned:
                return key, "least-recent"
        return None

    def _remember(self, key: Key, now: float) -> None:
        """Learn how long ago `key` was asked for before, and of the oldest that it was not asked for since."""
        if (before := self._history.pop(key, None)) is not None:
            self._hazard.asked(now - before)
            self._hazard.spent(now - before)
        self._history[key] = now
        if len(self._history) > GHOSTS:
            _, before = self._history.popitem(last=False)
            self._hazard.spent(now - before)
