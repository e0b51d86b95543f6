"""What may become of a call: it is carried out, or it has an accident."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from random import Random

from tests.fakes.store import Call

FINE = "fine"
REFUSED = "refused"
LOST = "answer lost"
TWICE = "twice"
LATE = "late"
"""Its caller has given it up, and it is carried out later."""
STALLED = "answer late"
LAST = "answer last"
"""It is carried out, and its caller learns of it when everybody else has done what they can."""
CRASH = "crash"
"""Of its gateway, before the call."""

PLACE = "place"
"""The call of the controller that has a job placed."""


Treatments = Callable[[Call, str, int], str]
"""Takes a call, who makes it and its number among that client's calls, and returns what becomes of it."""


@dataclass
class Accidents:
    """Accidents by chance.

    Attributes:
        shares: how many calls of a thousand have each.
        writes_only: whether calls that only read have none.
    """

    chance: Random
    shares: Mapping[str, int]
    writes_only: bool = False

    def __call__(self, call: Call, client: str, number: int) -> str:
        at = self.chance.randrange(1000)
        for treatment, share in self.shares.items():
            if at < share:
                may_be = call.writes or call.method == PLACE or not (self.writes_only or treatment in (TWICE, LATE))
                return treatment if may_be else FINE
            at -= share
        return FINE
