"""Builds the statistics of one slice of one round, row by row, as its updates arrive.

The Gram matrix G of a round has an entry for each pair of members: G[i, j] = ⟨u_i − base, u_j − base⟩. A new member
adds one row and one column, and changes nothing else. So an arriving update is multiplied with those before it, and the
round's statistics are ready when the round is.

Example: the slice has two elements, the base is (1, 1). Client a sends (2, 3), so its delta is (1, 2); client b sends
(4, 5), delta (3, 4). Then G = [[5, 11], [11, 25]]. Client c sends (2, 1), delta (1, 0), and only its row is computed:
⟨c, a⟩ = 1, ⟨c, b⟩ = 3, ⟨c, c⟩ = 1.

    [ 5 11 |  1 ]
    [11 25 |  3 ]
    [------+----]
    [ 1  3 |  1 ]

Each fold reads all earlier members again, so members wait until `FOLD` of them can be folded in at once: with n members
a fold for each would read n²/2 slices, folds of 5 read n²/10.

A row is computed from the cached bytes of an upload, before the upload is acknowledged; the store may end up with other
bytes under the same name. Hence two rules. A member is identified by its content hash as well as its name. And a slice
that has left the cache is read from the store only once a caller, by asking for the statistics of a list of members,
says that the store has exactly these.
"""

from collections.abc import Callable, Container, Iterable, Sequence
from threading import Lock

import numpy as np

from flstore_core.ids import ClientId
from flstore_core.schema import Segment
from flstore_core.shard.loader import Piece
from flstore_core.shard.protocol import MemberRef
from flstore_core.statistics import MOST_EXACT, RoundStatistics, border

FOLD = 5
"""Members that wait to be folded in together: few folds read less, and few waiting members make a commit quick."""

Read = Callable[[Sequence[MemberRef], Container[MemberRef]], Iterable[Piece] | None]
"""Returns a slice of some models piece by piece; None if one is neither cached nor among those known to be stored."""


class Accumulator:
    """The statistics so far, and the members that wait to be folded in. Thread-safe."""

    def __init__(self, base: MemberRef | None, segments: Sequence[Segment], read: Read) -> None:
        """Begin without members.

        Args:
            base: the model that is subtracted from those members that are no deltas already; zero if None.
            segments: the job's tensors in flat order.
        """
        self.base = base
        self._segments = segments
        self._read = read
        self._lock = Lock()
        self._members: list[MemberRef] = []
        self._waiting: list[MemberRef] = []
        self._gram = np.zeros((0, 0))
        self._squares = np.zeros((0, len(segments)))

    def add(self, member: MemberRef) -> None:
        """Take note of a member that has arrived; once enough wait, fold them in if all are cached."""
        with self._lock:
            if len(self._members) + len(self._waiting) >= MOST_EXACT:
                return  # nobody asks for the statistics of so many
            self._note([member])
            if len(self._waiting) >= FOLD:
                self._fold(self._waiting, stored=())

    def statistics(self, members: Sequence[MemberRef]) -> RoundStatistics:
        """Return the statistics of exactly `members`, in that order; the store must have all of them."""
        with self._lock:
            self._note(members)
            if new := [member for member in self._waiting if member in members]:
                self._drop_all_but(members)
                self._fold(new, stored=members)
            names = tuple(ClientId(member.client) for member in self._members)
            return RoundStatistics(names, self._gram, self._squares).take([member.client for member in members])

    def _note(self, members: Sequence[MemberRef]) -> None:
        """Let members wait that are new, or whose bytes have changed."""
        noted = {member.client: member for member in (*self._members, *self._waiting)}
        for member in members:
            earlier = noted.get(member.client)
            if earlier == member:
                continue
            if earlier is not None:
                self._forget(earlier)
            self._waiting.append(member)

    def _forget(self, member: MemberRef) -> None:
        """Drop a member, and its row and column if it has one."""
        if member in self._waiting:
            self._waiting.remove(member)
            return
        row = self._members.index(member)
        self._members.pop(row)
        self._gram = np.delete(np.delete(self._gram, row, 0), row, 1)
        self._squares = np.delete(self._squares, row, 0)

    def _drop_all_but(self, members: Sequence[MemberRef]) -> None:
        """Let all other members wait again: the store may lack their bytes, so nothing can be multiplied with them."""
        for member in [member for member in self._members if member not in members]:
            self._forget(member)
            self._waiting.append(member)

    def _fold(self, new: Sequence[MemberRef], stored: Sequence[MemberRef]) -> None:
        """Add the rows of `new` members, unless the bytes of some model are out of reach."""
        rows = [*self._members, *new]
        are_deltas = [row.is_delta for row in rows]
        bases = [self.base] if self.base and not all(are_deltas) else []
        pieces = self._read([*rows, *bases], [*stored, *bases])
        if pieces is None:
            return
        old, count = len(self._members), len(rows)
        products, squares = np.zeros((len(new), count)), np.zeros((len(new), len(self._segments)))
        for bounds, views in pieces:
            base = views[count] if bases else None
            more_products, more_squares = border(
                views[:old], views[old:count], base, self._segments, bounds, are_deltas
            )
            products += more_products
            squares += more_squares
        self._gram = np.block([[self._gram, products[:, :old].T], [products[:, :old], products[:, old:]]])
        self._squares = np.vstack([self._squares, squares])
        self._members += new
        self._waiting = [member for member in self._waiting if member not in new]
