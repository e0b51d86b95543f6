"""Candidates because a scan comes to them: finds users who read round after round, as audits do, and the next round.

This is stream detection as in file-system read-ahead (Smith, "Sequentiality and prefetching in database systems", TODS
1978). A *cursor* follows each scan. A request for the round beside a cursor moves it, and its next round becomes the
candidate. A request for any other round starts a cursor, in the direction in which the workload's scans have lately
gone. What a scan is worth is learned by workload and stage (started at the newest round, started elsewhere, in
progress): a workload that never scans causes no prefetch.

Example (`tests/policies/tailored/test_scans.py` runs it): audits go back. The request for round 20 starts a cursor
whose next round is 19. The request for 19 moves it: the scan is in progress and 18 is next. A request for 20 would turn
the cursor around: 21 is next.
"""

from collections.abc import Callable
from typing import Final

from flstore_core.patterns import Pattern
from flstore_core.policies.tailored.candidates import Candidate, Hazards
from flstore_core.policies.tailored.known_rounds import Group

CURSORS_PER_WORKLOAD: Final = 2
"""Scans followed at once in each workload; a third replaces the one that moved least recently."""

MOST_WORKLOADS: Final = 32
"""Workloads that have cursors and hazards of their own. All further workloads have one set between them."""

BIAS_MEMORY: Final = 0.8
"""A scan starts in the direction in which the workload's scans have lately gone: the sum of their steps, of which each
weighs this much of the step after it."""


class Cursor:
    """One scan."""

    __slots__ = ("candidate", "direction", "round")

    def __init__(self, number: int, direction: int, candidate: Candidate) -> None:
        self.round = number
        """The round that was read last."""
        self.direction = direction
        """-1 back, 1 forward."""
        self.candidate = candidate
        """The updates of the next round."""


class Scans:
    """The scans through the rounds of one slice of one job."""

    def __init__(self, updates_of: Callable[[int], Group], hazards: Hazards) -> None:
        """`updates_of` returns a round's objects, none where there is nothing to fetch."""
        self._updates_of, self._hazards = updates_of, hazards
        self._cursors: dict[str, list[Cursor]] = {}
        """By workload, the one that moved last first."""
        self._bias: dict[str, float] = {}
        """By workload, steps forward less steps back, the recent ones weighing more."""
        self.candidates: list[Candidate] = []
        """The next round of every scan that has one."""
        self.latest: Candidate | None = None
        """The next round of the scan that started or moved last."""

    def observe_request(self, workload: str, number: int, newest: bool, now: float) -> bool:
        """Learn of a request for round `number`, perhaps the newest; return whether it moved a scan.

        Every training run requests its newest round, so such a request starts a scan and never moves one.
        """
        workload = self._shared_name(workload)
        cursors = self._cursors.setdefault(workload, [])
        moved = None if newest else next((cursor for cursor in cursors if abs(number - cursor.round) == 1), None)
        if moved is not None:
            self._move(moved, workload, number, now)
            cursors.remove(moved)
            cursors.insert(0, moved)
            self._list_candidates()
            return True
        if not any(cursor.round == number for cursor in cursors):
            self._start(cursors, workload, number, newest, now)
        return False

    def _move(self, cursor: Cursor, workload: str, number: int, now: float) -> None:
        direction = number - cursor.round
        self._bias[workload] = BIAS_MEMORY * self._bias.get(workload, 0.0) + direction
        candidate = cursor.candidate
        if direction == cursor.direction:
            candidate.hazard.observe_request(now - candidate.since)
        candidate.hazard.observe_life(now - candidate.since)
        cursor.round, cursor.direction = number, direction
        cursor.candidate = self._next("scan in progress", workload, number + direction, now)

    def _start(self, cursors: list[Cursor], workload: str, number: int, newest: bool, now: float) -> None:
        direction = 1 if self._bias.get(workload, 0.0) > 0 else -1
        kind = "scan started at the newest round" if newest else "scan started"
        cursors.insert(0, Cursor(number, direction, self._next(kind, workload, number + direction, now)))
        for ended in cursors[CURSORS_PER_WORKLOAD:]:
            ended.candidate.hazard.observe_life(now - ended.candidate.since)
        del cursors[CURSORS_PER_WORKLOAD:]
        self._list_candidates()

    def _list_candidates(self) -> None:
        cursors = [cursor for of_workload in self._cursors.values() for cursor in of_workload]
        self.candidates = [cursor.candidate for cursor in cursors if cursor.candidate.group.sizes]

    def _next(self, kind: str, workload: str, number: int, now: float) -> Candidate:
        hazard = self._hazards.get(kind, workload)
        self.latest = Candidate(kind, Pattern.P2, hazard, now, self._updates_of(number))
        return self.latest

    def _shared_name(self, workload: str) -> str:
        return workload if workload in self._cursors or len(self._cursors) < MOST_WORKLOADS else ""
