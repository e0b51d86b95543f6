"""Chooses which groups of objects to hold: a knapsack, filled by expected requests per byte (Dantzig, 1957).

Where the greedy choice leaves no room for a group that is worth more than the last ones it would replace, it does.
"""

from collections.abc import Iterable
from operator import attrgetter

from flstore_core.policies.groups import Group

_DENSITY = attrgetter("density")


def make_plan(candidates: Iterable[Group], room: int) -> list[Group]:
    """Return groups that fit in `room` bytes together, all of some worth, roughly the best first.

    An object that two groups share is counted twice, unless they are the same objects altogether.
    """
    ranked = [group for group in candidates if group.density > 0.0 and group.bytes <= room]
    ranked.sort(key=_DENSITY, reverse=True)
    chosen: list[Group] = []
    seen: set[int] = set()
    for group in ranked:
        if id(group.keys) in seen:
            continue
        if group.bytes > room and (worse := _worth_less(chosen, group, group.bytes - room)):
            room += sum([other.bytes for other in worse])
            chosen = [other for other in chosen if other not in worse]
        if group.bytes <= room:
            room -= group.bytes
            chosen.append(group)
            seen.add(id(group.keys))
    return chosen


def _worth_less(chosen: list[Group], group: Group, needed: int) -> list[Group]:
    """Return some of `chosen`, last first, that free `needed` bytes and together are worth less than `group`."""
    worth = group.density * group.bytes
    worse: list[Group] = []
    for other in reversed(chosen):
        cost = other.density * other.bytes
        if cost >= worth:
            continue
        worth -= cost
        needed -= other.bytes
        worse.append(other)
        if needed <= 0:
            return worse
    return []
