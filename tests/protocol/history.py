"""What clients asked for, when, and what they were answered."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.protocol.gateways import Gateway
    from tests.protocol.plans import Wish


@dataclass
class Attempt:
    """One request to one gateway."""

    wish: "Wish"
    gateway: "Gateway"
    began: float
    ended: float = inf
    """Steps of the schedule. It has ended once nothing that it has set going can reach the store any more."""
    answered: float = inf
    """The step at which its client knew the answer, or that there is none."""
    home: str = ""
    """The job's home that the gateway took the request for; empty if it took it for none."""
    answer: object = None
    """What it was answered, or the error; None for none."""

    @property
    def kind(self) -> str:
        return self.wish.kind

    @property
    def number(self) -> int:
        return self.wish.number

    @property
    def client(self) -> str:
        return self.wish.client


@dataclass
class History:
    """All attempts of a schedule, in the order of their beginnings."""

    step: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    under_way: dict[str, Attempt] = field(default_factory=dict)
    """By the name of the thread."""

    def begin(self, thread: str, wish: "Wish", gateway: "Gateway") -> Attempt:
        attempt = Attempt(wish, gateway, self.step)
        self.attempts.append(attempt)
        self.under_way[thread] = attempt
        return attempt

    def of(self, *kinds: str, **values: object) -> Iterator[Attempt]:
        """Return the attempts of these kinds that have these values."""
        for attempt in self.attempts:
            if attempt.kind in kinds and all(getattr(attempt, name) == value for name, value in values.items()):
                yield attempt
