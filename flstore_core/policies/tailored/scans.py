"""Finds users who walk through rounds one by one, as audits do, and says which round comes next.

Stream detection as in file-system read-ahead (Smith, "Sequentiality and prefetching in database systems", TODS 1978): a
cursor for each walk, extended by a request one round beside it. What a walk is worth is learned by workload and stage.
"""

from collections.abc import Callable, Mapping
from typing import Final

from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.policies.tailored.candidates import Group, Hazards

WALKS: Final = 2
"""Walks followed at once in each workload."""

MOST_WORKLOADS: Final = 32
"""Workloads told apart; any beyond share one name."""

Find = Callable[[int], Mapping[Key, int]]
"""Gives the objects of a round with their bytes; empty where there is none to fetch."""


class Cursor:
    """One walk: where it is, where it goes, and the round that comes next."""

    __slots__ = ("at", "group", "step")

    def __init__(self, at: int, step: int, group: Group) -> None:
        self.at = at
        self.step = step
        """-1 back, 1 forward."""
        self.group = group


class Scans:
    """The walks through the rounds of one job."""

    def __init__(self, find: Find, hazards: Hazards) -> None:
        self._find, self._hazards = find, hazards
        self._cursors: dict[str, list[Cursor]] = {}
        """Of each workload, the one that moved last first."""
        self._leaning: dict[str, float] = {}
        """Steps forward less steps back of each workload, the recent ones weighing more."""
        self.groups: list[Group] = []
        """The rounds that come next."""
        self.front: Group | None = None
        """The round that comes next in the walk that moved last."""

    def asked(self, workload: str, number: int, newest: bool, now: float) -> bool:
        """Learn of a request for round `number`, perhaps the newest; say whether it went on with a walk."""
        workload = self._told_apart(workload)
        cursors = self._cursors.setdefault(workload, [])
        walk = None if newest else next((cursor for cursor in cursors if abs(number - cursor.at) == 1), None)
        if walk is not None:
            self._go_on(walk, workload, number, now)
            cursors.remove(walk)
            cursors.insert(0, walk)
            self._list_groups()
            return True
        if not any(cursor.at == number for cursor in cursors):
            self._begin(cursors, workload, number, newest, now)
        return False

    def _go_on(self, walk: Cursor, workload: str, number: int, now: float) -> None:
        step = number - walk.at
        self._leaning[workload] = 0.8 * self._leaning.get(workload, 0.0) + step
        group = walk.group
        if step == walk.step:
            group.hazard.asked(now - group.since)
        group.hazard.spent(now - group.since)
        walk.at, walk.step = number, step
        walk.group = self._next("scan going on", workload, number + step, now)

    def _begin(self, cursors: list[Cursor], workload: str, number: int, newest: bool, now: float) -> None:
        step = 1 if self._leaning.get(workload, 0.0) > 0 else -1
        kind = "scan begun at the newest" if newest else "scan begun"
        cursors.insert(0, Cursor(number, step, self._next(kind, workload, number + step, now)))
        for ended in cursors[WALKS:]:
            ended.group.hazard.spent(now - ended.group.since)
        del cursors[WALKS:]
        self._list_groups()

    def _list_groups(self) -> None:
        self.groups = [cursor.group for cursors in self._cursors.values() for cursor in cursors if cursor.group.keys]

    def _next(self, kind: str, workload: str, number: int, now: float) -> Group:
        self.front = Group(kind, Pattern.P2, self._hazards.of(kind, workload), now, self._find(number))
        return self.front

    def _told_apart(self, workload: str) -> str:
        return workload if workload in self._cursors or len(self._cursors) < MOST_WORKLOADS else ""
