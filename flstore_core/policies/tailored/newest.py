"""Candidates because they are new: the newest committed rounds, or their models, ranked by commits since."""

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.candidates import Candidate, Hazards
from flstore_core.policies.tailored.known_rounds import Group


class Newest:
    """The newest few rounds, or models; each rank has a hazard of its own.

    With depth 2, round 7 is the "newest round" until round 8 is committed, then a "recent round" of rank 1, and no
    candidate any more when round 9 is committed. Its age starts anew at every step.
    """

    def __init__(self, noun: str, pattern: Pattern, depth: int, hazards: Hazards) -> None:
        """`noun` is "round" or "model"; `depth` is the number of ranks."""
        self._pattern = pattern
        kinds = [(f"newest {noun}", ""), *((f"recent {noun}", str(rank)) for rank in range(1, depth))]
        self._ranks = [(kind, hazards.get(kind, variant)) for kind, variant in kinds]
        self._rounds: list[int] = []
        self.candidates: list[Candidate] = []
        """The newest first, parallel to `_rounds`."""

    def push(self, number: int, group: Group, now: float) -> None:
        """Make round `number` the newest; the others step down by one rank and the last one leaves."""
        for candidate in self.candidates:
            candidate.hazard.observe_life(now - candidate.since)
        self._rounds = [number, *self._rounds][: len(self._ranks)]
        kind, hazard = self._ranks[0]
        newest = Candidate(kind, self._pattern, hazard, now, group)
        self.candidates = [newest, *self.candidates][: len(self._ranks)]
        for candidate, (kind, hazard) in zip(self.candidates, self._ranks, strict=False):
            candidate.kind = kind
            candidate.start_age(hazard, now)

    def observe_request(self, number: int, now: float) -> bool:
        """Learn of a request for round `number`; return whether it is among the newest."""
        if number not in self._rounds:
            return False
        candidate = self.candidates[self._rounds.index(number)]
        candidate.hazard.observe_request(now - candidate.since)
        return True
