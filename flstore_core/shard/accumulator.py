"""Builds the statistics of one slice of one round, row by row, as its updates arrive.

A member's row is worked out from the bytes at hand when it arrives. Before its upload is acknowledged the store may
hold other bytes under the same name, so what has left the cache is read from the store only once a caller says, by
asking for the statistics of a list of members, that the store has exactly these.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from threading import Lock

import numpy as np

from flstore_core.ids import ClientId
from flstore_core.schema import Segment
from flstore_core.shard.loader import Piece
from flstore_core.shard.protocol import MemberRef
from flstore_core.statistics import RoundStatistics, border

FOLD = 5
"""Rows that wait to be folded in together: each fold reads all the earlier rows again, so few folds are cheap; and
the fewer rows still wait at the commit, the sooner it answers."""

Read = Callable[[Sequence[MemberRef], Container[MemberRef]], Iterable[Piece] | None]
"""Returns a slice of some models piece by piece; None if one is neither at hand nor among those known to be stored."""


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
        """Take note of a member that has arrived; fold once enough have, if all are at hand."""
        with self._lock:
            self._note([member])
            if len(self._waiting) < FOLD:
                return
            self._fold(self._waiting, stored=())

    def statistics(self, members: Sequence[MemberRef]) -> RoundStatistics:
        """Return the statistics of exactly `members`, in that order, folding in what is missing."""
        with self._lock:
            self._note(members)
            if new := [member for member in self._waiting if member in members]:
                self._drop_all_but(members)
                self._fold(new, stored=members)
            names = tuple(ClientId(member.client) for member in self._members)
            return RoundStatistics(names, self._gram, self._squares).take([member.client for member in members])

    def _note(self, members: Sequence[MemberRef]) -> None:
        """Let members wait that are not known, and those whose bytes are others than was known."""
        known = {member.client: member for member in (*self._members, *self._waiting)}
        for member in members:
            earlier = known.get(member.client)
            if earlier is not None and earlier != member:
                self._forget(earlier)
                earlier = None
            if earlier is None:
                self._waiting.append(member)

    def _forget(self, member: MemberRef) -> None:
        """Drop a row whose bytes were never acknowledged."""
        if member in self._waiting:
            self._waiting.remove(member)
            return
        row = self._members.index(member)
        self._members.pop(row)
        self._gram = np.delete(np.delete(self._gram, row, 0), row, 1)
        self._squares = np.delete(self._squares, row, 0)

    def _drop_all_but(self, members: Sequence[MemberRef]) -> None:
        """Let rows wait again that the store may not have: nothing can be multiplied with them."""
        for member in [member for member in self._members if member not in members]:
            self._forget(member)
            self._waiting.append(member)

    def _fold(self, new: Sequence[MemberRef], stored: Sequence[MemberRef]) -> None:
        """Add rows, unless a model is out of reach."""
        bases = [self.base] if self.base else []
        pieces = self._read([*self._members, *new, *bases], [*stored, *bases])
        if pieces is None:
            return
        old, count = len(self._members), len(self._members) + len(new)
        products, squares = np.zeros((len(new), count)), np.zeros((len(new), len(self._segments)))
        for bounds, views in pieces:
            base = views[count] if bases else None
            more = border(views[:old], views[old:count], base, self._segments, bounds)
            products += more[0]
            squares += more[1]
        self._gram = np.block([[self._gram, products[:, :old].T], [products[:, :old], products[:, old:]]])
        self._squares = np.vstack([self._squares, squares])
        self._members += new
        self._waiting = [member for member in self._waiting if member not in new]
