"""When to try again: one value that says how long to pause after each failure and when to give up.

The idea: after each failure in a row the pause grows, so that a peer that is down is not hammered and one that is back
is found soon. Chance takes a share of each pause away, so that clients that failed together do not return together.

Example: `Retry(growing(0.1, 1.0), give_up_s=3.0)` pauses 0.1, 0.2, 0.4, 0.8, 1.0 seconds. The sixth attempt begins
2.5 s after the first; a seventh would begin at 3.5 s, later than `give_up_s` allows, so the sixth failure is final.

Nothing here waits by itself. A synchronous caller pauses with `Attempts.wait`; an asynchronous one awaits its own sleep
of `Attempts.pause_s` seconds. Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
"""

import math
import random
import time
from collections.abc import Callable
from dataclasses import dataclass


def growing(first_s: float, longest_s: float, factor: float = 2.0) -> tuple[float, ...]:
    """Return pauses in seconds: `first_s`, `factor` times as long each time, up to `longest_s`."""
    pauses = [min(first_s, longest_s)]
    while 0.0 < pauses[-1] < longest_s:
        pauses.append(min(factor * pauses[-1], longest_s))
    return tuple(pauses)


@dataclass(frozen=True, slots=True)
class Retry:
    """How often an operation is tried, and with which pauses; by default for ever, with pauses up to half a minute."""

    pauses: tuple[float, ...] = growing(0.1, 30.0)
    """Seconds to pause after the first failure in a row, the second, …; the last pause repeats. Not empty."""
    jitter: float = 0.0
    """Largest share of a pause that chance takes away: 0 for none, 1 for all of it ("full jitter")."""
    attempts: float = math.inf
    """Attempts in all, the first included."""
    give_up_s: float = math.inf
    """No attempt begins so many seconds after the first, or later: a request should not outlive its caller."""
    clock: Callable[[], float] = time.monotonic
    """Seconds that never go back."""
    sleep: Callable[[float], None] = time.sleep
    """Waits so many seconds, for synchronous callers."""
    chance: Callable[[], float] = random.random
    """Numbers in [0, 1)."""

    def begin(self) -> "Attempts":
        """Return the count of one operation's attempts, of which the first begins now."""
        return Attempts(self)


class Attempts:
    """The attempts of one operation, or of a loop that runs for ever. Belongs to one thread or task."""

    def __init__(self, retry: Retry) -> None:
        self._retry = retry
        self.succeeded()

    def succeeded(self) -> None:
        """Begin anew, after success or progress."""
        self.failures = 0
        """Failures since the last success."""
        self.pause_s = 0.0
        """Seconds to pause before the next attempt."""
        self._began = self._retry.clock()

    def failed(self, least_s: float = 0.0) -> bool:
        """Count a failure, set `pause_s`, and return whether another attempt may begin.

        Args:
            least_s: the shortest pause in seconds that the peer asked for.
        """
        retry = self._retry
        pause = retry.pauses[min(self.failures, len(retry.pauses) - 1)]
        self.failures += 1
        self.pause_s = max(least_s, pause * (1.0 - retry.jitter * (1.0 - retry.chance())))
        return self.failures < retry.attempts and self.spent_s + self.pause_s < retry.give_up_s

    @property
    def spent_s(self) -> float:
        """Seconds since the first attempt, or since the last success."""
        return self._retry.clock() - self._began

    def wait(self) -> None:
        """Sleep for `pause_s`."""
        self._retry.sleep(self.pause_s)
