"""Groups of objects that are worth having together, and three ways in which interest in them shows.

A group is what one request will need all of: a round's updates, a client's last updates, one model. Its kind has a
learned `Hazard`. Groups come from what is new (`Ranks`) and from what was asked for by name (`Attention`); the third
way, walking through rounds, is in `scan`.
"""

from collections.abc import Mapping
from math import inf
from typing import Final, Generic, TypeVar

from flstore_core.patterns import Pattern
from flstore_core.policies.base import Key
from flstore_core.policies.tailored.hazard import FixedHazard, Hazard

STAGES: Final = 3
"""Requests for one thing that are told apart: the first, the second, more."""

STICKINESS: Final = 1.3
"""How much better another group must be before it replaces one that is held: changing costs fetches."""

LEAST_CHANCE: Final = 0.002
"""A group is worth holding when the job's next request wants it with this chance for each of its objects; half of
that, if it is held."""

PATIENCE: Final = 1.0
"""A group that was worth nothing is judged again when its age has grown by this part."""

PRIORS: Final[Mapping[str, float]] = {
    "newest round": 0.3,
    "recent round": 0.05,
    "open round": 0.02,
    "round asked again": 0.05,
    "scan begun at the newest": 0.1,
    "scan begun": 0.3,
    "scan going on": 0.5,
    "client": 0.15,
    "newest model": 0.3,
    "recent model": 0.05,
    "model asked again": 0.1,
}
"""Chance that the next request is for a group of the kind, before any request is seen."""


class Group:
    """Objects that are worth having together, and how their worth is judged."""

    __slots__ = (
        "_least",
        "_least_held",
        "asked",
        "bytes",
        "changed",
        "density",
        "hazard",
        "keys",
        "label",
        "pattern",
        "planned",
        "since",
        "until",
    )

    def __init__(self, label: str, pattern: Pattern, hazard: Hazard, since: float, keys: Mapping[Key, int]) -> None:
        self.label = label
        """Kind, for people."""
        self.pattern = pattern
        self.planned = False
        self.asked = False
        """Whether a request has read it while it was planned."""
        self.density = 0.0
        """Expected requests a second and byte; zero where they are too few to hold the group for."""
        self.hold(keys)
        self.begin(hazard, since)

    def hold(self, keys: Mapping[Key, int]) -> None:
        """Make `keys`, with their bytes, the group's objects."""
        self.keys = keys
        self.bytes = sum(keys.values())
        self._least = LEAST_CHANCE * len(keys) if self.bytes else inf
        self._least_held = 0.5 * self._least
        self.changed = True
        self.until = 0.0

    def begin(self, hazard: Hazard, since: float) -> None:
        """Let the age run from second `since`, under `hazard`."""
        self.hazard = hazard
        self.since = since
        self.until = 0.0
        """Second until which it need not be judged, as it was worth nothing."""

    def plan(self, planned: bool) -> None:
        """Note whether the group is to be held."""
        if planned is not self.planned:
            self.planned = planned
            self.until = 0.0

    def judge(self, now: float, horizon: float) -> float:
        """Work `density` out at second `now`, and return it; see `Hazard.rate` for `horizon`."""
        age = now - self.since
        rate = self.hazard.rate(age, horizon)
        if self.planned:
            rate *= STICKINESS
        if rate * horizon >= (self._least_held if self.planned else self._least):
            self.density = rate / self.bytes
        else:
            self.density = 0.0
            self.until = now + PATIENCE * (age if age > horizon else horizon)
        return self.density


class Hazards:
    """Hazards by kind and detail, each made from its kind's prior when first needed."""

    def __init__(self, learning: bool) -> None:
        self._make = Hazard if learning else FixedHazard
        self._by_kind: dict[tuple[str, str], Hazard] = {}

    def of(self, kind: str, detail: str = "") -> Hazard:
        """Return the hazard of `kind`; `detail` tells learned variants with the same prior apart."""
        hazard = self._by_kind.get((kind, detail))
        if hazard is None:
            hazard = self._by_kind[kind, detail] = self._make(PRIORS[kind])
        return hazard

    def fade(self, factor: float) -> None:
        """Let all that was learned weigh `factor` times as much."""
        for hazard in self._by_kind.values():
            hazard.fade(factor)


class Ranks:
    """The newest committed rounds, or their models, by how many commits ago they were the newest."""

    def __init__(self, noun: str, pattern: Pattern, depth: int, hazards: Hazards) -> None:
        self._pattern = pattern
        kinds = [(f"newest {noun}", ""), *((f"recent {noun}", str(rank)) for rank in range(1, depth))]
        self._ranks = [(label, hazards.of(label, detail)) for label, detail in kinds]
        self._numbers: list[int] = []
        self.groups: list[Group] = []

    def push(self, number: int, keys: Mapping[Key, int], now: float) -> None:
        """Make round `number` the newest; the others step down, the last one out."""
        for group in self.groups:
            group.hazard.spent(now - group.since)
        self._numbers = [number, *self._numbers][: len(self._ranks)]
        label, hazard = self._ranks[0]
        newest = Group(label, self._pattern, hazard, now, keys)
        self.groups = [newest, *self.groups][: len(self._ranks)]
        for rank, group in enumerate(self.groups):
            group.label, hazard = self._ranks[rank]
            group.begin(hazard, now)

    def asked(self, number: int, now: float) -> bool:
        """Learn of a request for round `number`; say whether it is among the newest."""
        if number not in self._numbers:
            return False
        group = self.groups[self._numbers.index(number)]
        group.hazard.asked(now - group.since)
        return True


Name = TypeVar("Name")


class Attention(Generic[Name]):
    """The few things asked for by name most recently.

    Told apart are how often each was asked for, and whether something else of the kind was asked for since: attention
    that has moved on seldom comes back.
    """

    def __init__(self, kind: str, pattern: Pattern, most: int, hazards: Hazards, detail: str = "") -> None:
        self._kind, self._pattern, self._most = kind, pattern, most
        self._latest = [hazards.of(kind, f"{detail} latest {stage}") for stage in range(STAGES)]
        self._superseded = [hazards.of(kind, f"{detail} superseded {stage}") for stage in range(STAGES)]
        self._asks: dict[Name, int] = {}
        self._groups: dict[Name, Group] = {}
        """Least recently asked first."""
        self.groups = self._groups.values()
        self._front: Name | None = None
        self._lived: dict[Name, float] = {}
        """Age of each superseded one when that happened."""

    def get(self, name: Name) -> Group | None:
        """Return the group of `name` if attention is on it."""
        return self._groups.get(name)

    def asked(self, name: Name, keys: Mapping[Key, int], now: float) -> None:
        """Learn of a request for `name`, whose objects are `keys` from now on."""
        group = self._groups.pop(name, None)
        if group is None:
            group = Group(self._kind, self._pattern, self._latest[0], now, keys)
            self._asks[name] = 0
        else:
            self._asked_again(name, group, now)
            if keys != group.keys:
                group.hold(keys)
        if self._front is not None and self._front != name:
            self._supersede(self._front, now)
        self._groups[name] = group
        self._front = name
        if len(self._groups) > self._most:
            self._let_go(next(iter(self._groups)), now)

    def _asked_again(self, name: Name, group: Group, now: float) -> None:
        group.hazard.asked(now - group.since)
        group.hazard.spent(now - group.since, self._lived.pop(name, 0.0))
        self._asks[name] += 1
        group.begin(self._latest[min(self._asks[name], STAGES - 1)], now)

    def _supersede(self, name: Name, now: float) -> None:
        group = self._groups[name]
        group.hazard.spent(now - group.since)
        group.begin(self._superseded[min(self._asks[name], STAGES - 1)], group.since)
        self._lived[name] = now - group.since

    def _let_go(self, name: Name, now: float) -> None:
        """Forget the least recently asked; that it was not asked again is learned too."""
        group = self._groups.pop(name)
        group.hazard.spent(now - group.since, self._lived.pop(name, 0.0))
        del self._asks[name]
