"""Candidates for the plan: groups of objects that one request needs whole, each with its expected requests.

A workload answers from the cache only if all of its objects are there, so the policy holds groups and never parts of
them: the updates of a round, the last updates of a client, one model. A `Candidate` is such a group together with the
reason to hold it: a *kind*, whose learned `Hazard` says how many requests a second to expect at the candidate's age.

Candidates arise in three ways: from what is new (`newest`), from what was requested by name (`recently_requested`) and
from scans through rounds (`scans`). `knapsack` chooses among them by their density, the expected requests a second and
byte.

Example (`tests/policies/tailored/test_candidates.py` runs it): the newest round has 2 updates of 10 bytes, the hazard
of "newest round" is 0.3 requests a second at its age, and the next request is expected in 1 s. The chance of 0.3
exceeds `LEAST_CHANCE` * 2 objects = 0.004, so its density is 0.3 / 20 bytes = 0.015. Once it is planned its density
counts `STICKINESS` times as much: 0.0195.
"""

from collections.abc import Mapping
from math import inf
from typing import Final

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.hazard import FixedHazard, Hazard
from flstore_core.policies.tailored.known_rounds import Group

STICKINESS: Final = 1.3
"""How much better another candidate must be before it replaces a planned one: each change costs fetches."""

LEAST_CHANCE: Final = 0.002
"""A group of n objects is worth holding if the chance that the job's next request is for it is at least n times this.
For a group that is planned already, half of that is enough."""

REVIEW_AGE_RATIO: Final = 1.0
"""A candidate that was worth nothing is judged again once its age has grown by this part of itself."""

PRIORS: Final[Mapping[str, float]] = {
    "newest round": 0.3,
    "recent round": 0.05,
    "open round": 0.02,
    "round requested again": 0.05,
    "scan started at the newest round": 0.1,
    "scan started": 0.3,
    "scan in progress": 0.5,
    "tracked client": 0.15,
    "newest model": 0.3,
    "recent model": 0.05,
    "model requested again": 0.1,
}
"""By kind, the chance that the next request is for a candidate of it, before any request is seen."""


class Candidate:
    """A group of objects that may be planned, and the expected requests for it."""

    __slots__ = (
        "_least_chance",
        "_least_chance_planned",
        "bytes",
        "changed",
        "density",
        "dormant_until",
        "group",
        "hazard",
        "kind",
        "pattern",
        "planned",
        "since",
        "was_read",
    )

    def __init__(self, kind: str, pattern: Pattern, hazard: Hazard, since: float, group: Group) -> None:
        self.kind = kind
        """A key of `PRIORS`; people read it in explanations."""
        self.pattern = pattern
        self.planned = False
        self.was_read = False
        """Whether a request has read it while it was planned."""
        self.density = 0.0
        """Expected requests a second and byte; zero where they are too few to hold the group for."""
        self.set_group(group)
        self.start_age(hazard, since)

    def set_group(self, group: Group) -> None:
        """Stand for the objects of `group` as they are now; call again after they changed."""
        self.group = group
        self.bytes = group.bytes
        self._least_chance = LEAST_CHANCE * len(group.sizes) if group.bytes else inf
        self._least_chance_planned = 0.5 * self._least_chance
        self.changed = True
        """Whether the objects have changed since they were last planned."""
        self.dormant_until = 0.0

    def start_age(self, hazard: Hazard, since: float) -> None:
        """Count the age from second `since`, under `hazard`."""
        self.hazard = hazard
        self.since = since
        self.dormant_until = 0.0
        """Second until which it need not be judged, having been worth nothing."""

    def belongs_to(self, job: str) -> bool:
        """Return whether the group has objects of the job; all are of one."""
        return any(key.job == job for key in self.group.sizes)

    def set_planned(self, planned: bool) -> None:
        """Note whether the group is to be held."""
        if planned is not self.planned:
            self.planned = planned
            self.dormant_until = 0.0

    def judge(self, now: float, horizon: float) -> float:
        """Update `density` for second `now`, and return it; `horizon` is explained at `Hazard.rate`."""
        age = now - self.since
        rate = self.hazard.rate(age, horizon)
        if self.planned:
            rate *= STICKINESS
        if rate * horizon >= (self._least_chance_planned if self.planned else self._least_chance):
            self.density = rate / self.bytes
        else:
            self.density = 0.0
            self.dormant_until = now + REVIEW_AGE_RATIO * (age if age > horizon else horizon)
        return self.density


class Hazards:
    """The hazard of each kind and variant, made from the kind's prior when it is first needed."""

    def __init__(self, learning: bool) -> None:
        """With `learning` false, every hazard keeps its prior."""
        self._make = Hazard if learning else FixedHazard
        self._by_kind: dict[tuple[str, str], Hazard] = {}

    def get(self, kind: str, variant: str = "") -> Hazard:
        """Return the hazard of `kind`; variants share its prior and learn separately."""
        hazard = self._by_kind.get((kind, variant))
        if hazard is None:
            hazard = self._by_kind[kind, variant] = self._make(PRIORS[kind])
        return hazard

    def fade(self, factor: float) -> None:
        """Let everything learned weigh `factor` times as much."""
        for hazard in self._by_kind.values():
            hazard.fade(factor)
