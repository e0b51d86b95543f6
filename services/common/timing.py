"""Time as a service's blocking code sees it. Tests hand in a clock of their own and never wait."""

import time
from typing import Protocol


class Time(Protocol):
    """A clock, and a way to wait by it."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds from any fixed beginning; they never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread."""
        ...


class RealTime:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
