"""The statistics of a round, or of a slice of it, and their form as a safetensors file."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from flstore_core import codec
from flstore_core.errors import InvalidTensors
from flstore_core.formats import FORMAT, require_format
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
        hashes: SHA-256 of each model's file. Empty if nobody says, as in statistics of a slice or of version 0.1.0.
        base: SHA-256 of the model that deltas are taken against; None if that is zero. Empty if nobody says.
    """

    members: tuple[ClientId, ...]
    gram: Float64
    squares: Float64
    hashes: tuple[str, ...] = ()
    base: str | None = ""

    @classmethod
    def without_rows(cls) -> "RoundStatistics":
        """Return the statistics of no models."""
        return cls((), np.zeros((0, 0)), np.zeros((0, 0)))

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
        hashes = tuple(self.hashes[row] for row in rows) if self.hashes else ()
        return RoundStatistics(tuple(members), self.gram[np.ix_(rows, rows)], self.squares[rows], hashes, self.base)

    def to_bytes(self, **metadata: str) -> bytes:
        """Return a safetensors file of a few kilobytes.

        Args:
            metadata: what else it says; `from_bytes` ignores that.
        """
        arrays = {"gram": self.gram, "squares": self.squares}
        if self.hashes or self.base != "":
            metadata["inputs"] = json.dumps({"hashes": self.hashes, "base": self.base})
        return codec.dumps(arrays, {"members": json.dumps(self.members), **metadata})

    @classmethod
    def from_bytes(cls, body: bytes) -> "RoundStatistics":
        """Return the statistics that `to_bytes` wrote. What else is in the file is ignored.

        Raises:
            NewerFormat: if their format is that of a later version.
        """
        arrays, metadata = codec.loads(body)
        if number := metadata.get(FORMAT):
            require_format("the statistics of a round", {FORMAT: int(number) if number.isdecimal() else number})
        members = tuple(ClientId(name) for name in json.loads(metadata["members"]))
        inputs = json.loads(metadata.get("inputs", "{}"))
        return cls(members, arrays["gram"], arrays["squares"], tuple(inputs.get("hashes", ())), inputs.get("base", ""))

    @classmethod
    def from_stored(cls, body: bytes) -> "RoundStatistics | None":
        """Return the statistics that `to_bytes` wrote; None if the bytes are no such, because they were damaged."""
        try:
            statistics = cls.from_bytes(body)
        except (InvalidTensors, LookupError, TypeError, ValueError, AttributeError):
            return None
        count = len(statistics.members)
        shapes = statistics.gram.shape == (count, count) and statistics.squares.shape[:1] == (count,)
        return statistics if shapes and len(statistics.hashes) in (0, count) else None
