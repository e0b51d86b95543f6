"""When a call is tried again, and how long it waits before."""

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import count

from flstore_core.client.problems import error_of, error_of_loss
from flstore_core.client.wire import Flow, Lost, Reply, Request


@dataclass(frozen=True)
class Backoff:
    """Growing waits with jitter: between half and all of first, 2·first, 4·first … seconds."""

    retries: int = 3
    """Further attempts after the first."""
    first: float = 0.2
    """Seconds."""
    most: float = 5.0
    """Seconds; the longest wait of our own choosing."""
    most_asked: float = 60.0
    """Seconds; the longest wait a server's Retry-After may ask for."""
    chance: Callable[[], float] = random.random
    """A source of numbers in [0, 1)."""

    def wait(self, attempt: int, outcome: Reply | Lost) -> float:
        """Return the seconds to wait after attempt number `attempt`, counted from 0."""
        own = min(self.most, self.first * float(1 << attempt)) * (0.5 + self.chance() / 2)
        asked = outcome.headers.get("retry-after", "") if isinstance(outcome, Reply) else ""
        return max(own, min(float(asked), self.most_asked)) if asked.isascii() and asked.isdigit() else own


def send(request: Request, backoff: Backoff) -> Flow[Reply]:
    """Send `request` until it is answered well, or trying again cannot help; every call may safely be repeated.

    Raises:
        FLStoreError: the last attempt's; its extension `attempts` tells how many there were.
    """
    for attempt in count():
        outcome = yield request
        if isinstance(outcome, Reply) and 200 <= outcome.status < 300:
            return outcome
        error = error_of_loss(outcome) if isinstance(outcome, Lost) else error_of(outcome)
        error.extensions["attempts"] = attempt + 1
        hopeless = not error.retryable or (isinstance(outcome, Lost) and outcome.timed_out)
        if hopeless or attempt == backoff.retries:
            raise error
        request = replace(request, after=backoff.wait(attempt, outcome))
    raise AssertionError("unreachable")
