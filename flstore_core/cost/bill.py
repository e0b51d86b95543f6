"""Amounts of money by what they are paid for."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Bill:
    """US dollars."""

    compute: float = 0.0
    """Functions, machines and cache nodes."""
    requests: float = 0.0
    """Invocations, and requests to the object store."""
    storage: float = 0.0
    """Bytes kept in the object store."""

    @property
    def total(self) -> float:
        """The sum of all parts."""
        return self.compute + self.requests + self.storage

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(self.compute + other.compute, self.requests + other.requests, self.storage + other.storage)

    def to_json(self) -> dict[str, float]:
        parts = {"compute": self.compute, "requests": self.requests, "storage": self.storage}
        return {"dollars": self.total, **parts}


def saving(ours: float, theirs: float) -> float:
    """Return the share of `theirs` that is saved: negative if `ours` is more, 0 if `theirs` is nothing."""
    return 1.0 - ours / theirs if theirs else 0.0
