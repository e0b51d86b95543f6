"""Candidates because they were requested: the few things of a kind that were requested by name most recently.

How soon a thing is requested again depends on two facts, and each combination has a hazard of its own:

- the request count: a second request makes a third one likelier; counts from `COUNTED_REQUESTS` on share one hazard;
- supersession: once another thing of the kind was requested, users have moved on and seldom come back.

Example (`tests/policies/tailored/test_recently_requested.py` runs it): requests for clients a, a, b. After the second
request, a has the hazard "latest, one repeat". The request for b makes b "latest, no repeat" and a "superseded, one
repeat": the age of a goes on, while its life as the latest ends.
"""

from typing import Final, Generic, TypeVar

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.candidates import Candidate, Hazards
from flstore_core.policies.tailored.known_rounds import Group

COUNTED_REQUESTS: Final = 3
"""Request counts with a hazard of their own: one, two, and three or more."""

Name = TypeVar("Name")


class RecentlyRequested(Generic[Name]):
    """At most `most` things of one kind, by name."""

    def __init__(self, kind: str, pattern: Pattern, most: int, hazards: Hazards, variant: str = "") -> None:
        self._kind, self._pattern, self._most = kind, pattern, most
        self._latest_hazards = [hazards.get(kind, f"{variant} latest {count}") for count in range(COUNTED_REQUESTS)]
        self._superseded_hazards = [
            hazards.get(kind, f"{variant} superseded {count}") for count in range(COUNTED_REQUESTS)
        ]
        self._repeats: dict[Name, int] = {}
        """Requests after the first."""
        self._candidates: dict[Name, Candidate] = {}
        """The least recently requested first."""
        self.candidates = self._candidates.values()
        self._latest: Name | None = None
        self._superseded_age: dict[Name, float] = {}
        """Age in seconds at which each superseded thing was superseded."""

    def get(self, name: Name) -> Candidate | None:
        """Return the candidate of `name` if it is among the recently requested."""
        return self._candidates.get(name)

    def observe_request(self, name: Name, group: Group, now: float) -> None:
        """Learn of a request for `name`, whose objects are `group` from now on."""
        candidate = self._candidates.pop(name, None)
        if candidate is None:
            candidate = Candidate(self._kind, self._pattern, self._latest_hazards[0], now, group)
            self._repeats[name] = 0
        else:
            self._count_repeat(name, candidate, now)
            if group.sizes != candidate.group.sizes:
                candidate.set_group(group)
        if self._latest is not None and self._latest != name:
            self._supersede(self._latest, now)
        self._candidates[name] = candidate
        self._latest = name
        if len(self._candidates) > self._most:
            self._forget(next(iter(self._candidates)), now)

    def _count_repeat(self, name: Name, candidate: Candidate, now: float) -> None:
        candidate.hazard.observe_request(now - candidate.since)
        candidate.hazard.observe_life(now - candidate.since, self._superseded_age.pop(name, 0.0))
        self._repeats[name] += 1
        candidate.start_age(self._latest_hazards[min(self._repeats[name], COUNTED_REQUESTS - 1)], now)

    def _supersede(self, name: Name, now: float) -> None:
        candidate = self._candidates[name]
        candidate.hazard.observe_life(now - candidate.since)
        hazard = self._superseded_hazards[min(self._repeats[name], COUNTED_REQUESTS - 1)]
        candidate.start_age(hazard, candidate.since)
        self._superseded_age[name] = now - candidate.since

    def _forget(self, name: Name, now: float) -> None:
        """Drop the least recently requested; the hazard learns that it was not requested again."""
        candidate = self._candidates.pop(name)
        candidate.hazard.observe_life(now - candidate.since, self._superseded_age.pop(name, 0.0))
        del self._repeats[name]
