"""Chooses which groups of objects to hold: a knapsack, filled by expected requests per byte (Dantzig, 1957).

Where the greedy choice leaves no room for a group that is worth more than the last ones it would replace, it does.
"""

from collections.abc import Iterable
from operator import attrgetter

from flstore_core.policies.tailored.candidates import Group

_DENSITY = attrgetter("density")


def make_plan(candidates: Iterable[Group], room: int) -> tuple[list[Group], bool]:
    """Return groups that fit in `room` bytes together, roughly the best first, and whether some had to stay out.

    An object that two groups share is counted twice, unless they are the same objects altogether.
    """
    ranked = sorted([group for group in candidates if group.bytes <= room], key=_DENSITY, reverse=True)
    chosen: list[Group] = []
    crowded = False
    seen: set[int] = set()
    for group in ranked:
        if id(group.keys) in seen:
            continue
        if group.bytes > room and (worse := _worth_less(chosen, group, group.bytes - room)):
            room += sum([other.bytes for other in worse])
            chosen = [other for other in chosen if other not in worse]
            crowded = True
        if group.bytes <= room:
            room -= group.bytes
            chosen.append(group)
            seen.add(id(group.keys))
        else:
            crowded = True
    return chosen, crowded


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
