"""The statistics of a round, or of a slice of it, and their form as a safetensors file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from flstore_core import codec
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.statistics.gram import Float64

MOST_EXACT = 2048
"""Most models of a round whose inner products are kept: n² × 8 bytes, so 32 MiB. A larger round has no statistics."""


@dataclass(frozen=True)
class RoundStatistics:
    """Sufficient statistics of n models of one round; those of slices add up to those of the whole vector.

    Attributes:
        members: the model of each row: clients, and last the aggregate if it is stored.
        gram: inner products of their deltas, float64, shape (n, n).
        squares: squared norms of their deltas by tensor, float64, shape (n, tensors).
    """

    members: tuple[ClientId, ...]
    gram: Float64
    squares: Float64

    def __add__(self, other: "RoundStatistics") -> "RoundStatistics":
        if self.members != other.members:
            raise ValueError("slices disagree on the round's members")
        return RoundStatistics(self.members, self.gram + other.gram, self.squares + other.squares)

    @classmethod
    def add_up(cls, parts: Sequence["RoundStatistics"]) -> "RoundStatistics":
        """Return the sum over at least one slice; raise `ValueError` if slices have other members or another order."""
        return reduce(lambda total, part: total + part, parts)

    @property
    def clients(self) -> tuple[ClientId, ...]:
        """The members that are clients, in the order of the rows."""
        return tuple(member for member in self.members if member != AGGREGATE)

    @property
    def nbytes(self) -> int:
        """Size of both arrays in memory."""
        return self.gram.nbytes + self.squares.nbytes

    def take(self, members: Sequence[ClientId]) -> "RoundStatistics":
        """Return the statistics of `members` alone, in their order; raise `KeyError` for a model without a row."""
        if tuple(members) == self.members:
            return self
        position = {member: row for row, member in enumerate(self.members)}
        rows = [position[member] for member in members]
        return RoundStatistics(tuple(members), self.gram[np.ix_(rows, rows)], self.squares[rows])

    def to_bytes(self) -> bytes:
        """Return a safetensors file of a few kilobytes."""
        arrays = {"gram": self.gram, "squares": self.squares}
        return codec.dumps(arrays, {"members": json.dumps(self.members)})

    @classmethod
    def from_bytes(cls, body: bytes) -> "RoundStatistics":
        """Return the statistics that `to_bytes` wrote."""
        arrays, metadata = codec.loads(body)
        members = tuple(ClientId(name) for name in json.loads(metadata["members"]))
        return cls(members, arrays["gram"], arrays["squares"])
