"""Time for blocking code. A service gets a `Time` from its caller, so tests can pass in their own and never wait."""

import time
from typing import Protocol


class Time(Protocol):
    """Clocks, and a way to wait."""

    def now(self) -> float:
        """Return seconds since the epoch."""
        ...

    def monotonic(self) -> float:
        """Return seconds since some fixed moment; they never go back."""
        ...

    def sleep(self, seconds: float) -> None:
        """Block the calling thread for `seconds`."""
        ...


class RealTime:
    """The machine's own time."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic()

    def sleep(self, seconds: float) -> None:
        time.sleep(seconds)
