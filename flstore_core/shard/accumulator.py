"""Builds the statistics of one slice of one round, row by row, as its updates arrive."""

from collections.abc import Callable, Sequence
from threading import Lock

import numpy as np

from flstore_core.codec import FlatView
from flstore_core.ids import ClientId
from flstore_core.schema import Segment
from flstore_core.shard.messages import MemberRef
from flstore_core.statistics import RoundStatistics, border

Read = Callable[[Sequence[MemberRef]], list[FlatView]]
"""Returns the slices of some members, from wherever they are."""

FOLD = 5
"""Rows that wait to be folded in together: each fold reads all the earlier rows again, so few folds are cheap; and
the fewer rows still wait at the commit, the sooner it answers."""


class Accumulator:
    """The statistics so far, and the members still to be folded in. Thread-safe."""

    def __init__(self, base: MemberRef | None, segments: Sequence[Segment], read: Read) -> None:
        self.base = base
        self._segments = segments
        self._read = read
        self._lock = Lock()
        self._members: list[MemberRef] = []
        self._waiting: list[MemberRef] = []
        self._gram = np.zeros((0, 0))
        self._squares = np.zeros((0, len(segments)))

    def add(self, member: MemberRef) -> None:
        """Take note of a member that has arrived; fold once enough have."""
        with self._lock:
            self._note([member])
            if len(self._waiting) >= FOLD:
                self._fold()

    def statistics(self, members: Sequence[MemberRef]) -> RoundStatistics:
        """Return the statistics of exactly `members`, in that order, folding in what is missing."""
        with self._lock:
            self._note(members)
            self._fold()
            names = tuple(ClientId(member.client) for member in self._members)
            return RoundStatistics(names, self._gram, self._squares).take([member.client for member in members])

    def _note(self, members: Sequence[MemberRef]) -> None:
        known = {member.client: member for member in (*self._members, *self._waiting)}
        for member in members:
            earlier = known.get(member.client)
            if earlier is None:
                self._waiting.append(member)
            elif earlier.sha256 != member.sha256:
                self._replace(earlier, member)

    def _replace(self, earlier: MemberRef, member: MemberRef) -> None:
        """Forget a row whose bytes were never acknowledged, and let the member's real bytes wait."""
        if earlier in self._members:
            row = self._members.index(earlier)
            self._members.pop(row)
            self._gram = np.delete(np.delete(self._gram, row, 0), row, 1)
            self._squares = np.delete(self._squares, row, 0)
        else:
            self._waiting.remove(earlier)
        self._waiting.append(member)

    def _fold(self) -> None:
        if not self._waiting:
            return
        count = len(self._members)
        rows = self._read([*self._members, *self._waiting])
        base = self._read([self.base])[0] if self.base else None
        products, squares = border(rows[:count], rows[count:], base, self._segments)
        self._gram = np.block([[self._gram, products[:, :count].T], [products[:, :count], products[:, count:]]])
        self._squares = np.vstack([self._squares, squares])
        self._members += self._waiting
        self._waiting = []
