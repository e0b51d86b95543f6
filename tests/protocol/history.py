"""What clients asked for, when, and what they were answered."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf


@dataclass
class Attempt:
    """One request to one gateway."""

    kind: str
    """`put`, `commit`, `erase`, `delete`, `create` or `read`."""
    home: str
    """The job's home that the gateway took the request for; empty if it took it for none."""
    number: int
    client: str
    seed: int
    began: float
    ended: float = inf
    """Steps of the schedule. It has ended once nothing that it has set going can reach the store any more."""
    answer: object = None
    """What it was answered; None for none."""


@dataclass
class History:
    """All attempts of a schedule, in the order of their beginnings."""

    step: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    under_way: dict[str, Attempt] = field(default_factory=dict)
    """By the name of the thread."""

    def begin(
        self, thread: str, kind: str, home: str = "", number: int = 0, client: str = "", seed: int = 0
    ) -> Attempt:
        attempt = Attempt(kind, home, number, client, seed, self.step)
        self.attempts.append(attempt)
        self.under_way[thread] = attempt
        return attempt

    def of(self, kind: str, **values: object) -> Iterator[Attempt]:
        """Return the attempts of a kind that have these values."""
        for attempt in self.attempts:
            if attempt.kind == kind and all(getattr(attempt, name) == value for name, value in values.items()):
                yield attempt
