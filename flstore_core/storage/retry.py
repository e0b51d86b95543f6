"""When to try again: exponential back-off with full jitter, until patience runs out.

Source: M. Brooker, "Exponential Backoff and Jitter", AWS Architecture Blog, 2015.
"""

import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from flstore_core.errors import StoreUnavailable

T = TypeVar("T")


class Transient(StoreUnavailable):
    """Trouble that may be over at the next attempt."""


@dataclass(frozen=True, slots=True)
class RetrySettings:
    """How long to try, in seconds, and by which clock."""

    give_up_s: float = 10.0
    """No attempt begins later than this after the first: a request should not outlive its client's patience."""
    first_delay_s: float = 0.1
    """Upper bound of the first pause, doubled with every attempt."""
    longest_delay_s: float = 2.0
    """Upper bound of any pause, so that a store that is back is found soon."""
    clock: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    random: Callable[[], float] = random.random


class Patience:
    """The attempts of one operation."""

    def __init__(self, settings: RetrySettings) -> None:
        self._settings = settings
        self.renew()

    def renew(self) -> None:
        """Begin anew, after progress was made."""
        self._tries = 0
        self._began = self._settings.clock()

    def wait(self, error: Transient) -> None:
        """Pause before the next attempt, or raise `StoreUnavailable` when `error` is to be the last."""
        self._tries += 1
        bound = min(self._settings.longest_delay_s, self._settings.first_delay_s * 2 ** (self._tries - 1))
        pause = bound * self._settings.random()
        spent = self._settings.clock() - self._began
        if spent + pause >= self._settings.give_up_s:
            raise StoreUnavailable(f"{error.detail} ({self._tries} tries in {spent:.1f} s)") from error
        self._settings.sleep(pause)


def retrying(settings: RetrySettings, attempt: Callable[[], T]) -> T:
    """Return what `attempt()` returns, calling it again while it raises `Transient`."""
    patience = Patience(settings)
    while True:
        try:
            return attempt()
        except Transient as error:
            patience.wait(error)
