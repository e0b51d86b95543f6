"""Chooses which groups of objects to hold: a knapsack, filled by expected requests per byte (Dantzig, 1957).

Where the greedy choice leaves no room for a group that is worth more than the last ones it would replace, it does.
"""

from collections.abc import Iterable
from typing import NamedTuple

from flstore_core.policies.base import Key
from flstore_core.policies.groups import Group

STICKINESS = 1.3
"""How much better another group must be before it replaces one that is held: changing costs fetches."""


class Plan(NamedTuple):
    """The groups to hold, best first, and their objects; an object that two groups share stands with the better one."""

    groups: list[Group]
    keys: dict[Key, Group]


def make_plan(candidates: Iterable[Group], room: int, now: float, gap: float) -> Plan:
    """Return groups that fit in `room` bytes together, at second `now`, with `gap` seconds between requests."""
    ranked = []
    for group in candidates:
        if group.bytes <= room:
            rate = group.hazard.rate(now - group.since, gap)
            group.density = rate * (STICKINESS if group.planned else 1.0) / (group.bytes or 1)
            ranked.append(group)
    ranked.sort(key=_density, reverse=True)
    return _fill(ranked, room)


def _fill(ranked: list[Group], room: int) -> Plan:
    chosen: list[Group] = []
    keys: dict[Key, Group] = {}
    for group in ranked:
        fresh = {key: size for key, size in group.keys.items() if key not in keys}
        needed = sum(fresh.values())
        if needed > room and (worse := _worth_less(chosen, group, needed - room)):
            for other in worse:
                chosen.remove(other)
            keys = {key: kept for key, kept in keys.items() if kept not in worse}
            room += sum(other.bytes for other in worse)
        if needed <= room:
            room -= needed
            chosen.append(group)
            keys.update(dict.fromkeys(fresh, group))
    return Plan(chosen, keys)


def _worth_less(chosen: list[Group], group: Group, needed: int) -> list[Group]:
    """Return the last of `chosen` that would make `needed` bytes free, if together they are worth less than `group`."""
    worth = group.density * group.bytes
    worse: list[Group] = []
    for other in reversed(chosen):
        if other.density * other.bytes < worth:
            worth -= other.density * other.bytes
            needed -= other.bytes
            worse.append(other)
            if needed <= 0:
                return worse
    return []


def _density(group: Group) -> float:
    return group.density
