"""How much time, memory and disk recording may take."""

from dataclasses import dataclass
from pathlib import Path

from flstore_core.errors import InvalidParameters

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Limits:
    """What a training gives for being recorded."""

    deadline_s: float = 2.0
    """Longest time in seconds that a round waits for the store in all, advice included."""
    linger_s: float = 10.0
    """Longest time in seconds that the end of a training waits for what is not recorded yet."""
    uploads: int = 4
    """Models that are sent to the store at once."""
    memory_bytes: int = 256 * MEBIBYTE
    """Bytes of models that may wait in memory; further ones wait on disk."""
    spool_bytes: int = 4096 * MEBIBYTE
    """Bytes of models that may wait on disk; further ones are not recorded."""
    spool: Path | None = None
    """Folder in which models wait; by default a new one, for this user alone, among the system's temporary files.

    In a folder that is named, rounds that could not be recorded stay when the training ends. A training of the same job
    with `resume` and the same folder takes them up."""

    def __post_init__(self) -> None:
        for name in ("deadline_s", "linger_s", "memory_bytes", "spool_bytes"):
            if not getattr(self, name) >= 0:
                raise InvalidParameters(f"{name} is {getattr(self, name)!r}; pass a number from 0")
        if not 1 <= self.uploads <= 64:
            raise InvalidParameters(f"uploads is {self.uploads!r}; use 1 to 64")
