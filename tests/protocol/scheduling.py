"""Who goes on next: ways to choose, each of which finds other races.

- `AnyOrder`: everybody with the same chance, at every step.
- `Priorities`: whoever has the highest priority goes on, until at a few steps, chosen beforehand, the one that runs
  gets the lowest. An order that needs d such moments is found with a chance of at least 1/(n·k^(d-1)), for n clients
  and k steps. (S. Burckhardt et al., "A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs", ASPLOS
  2010)
- `Collisions`: each call gets a priority, and a new one whenever another call touches what it touches. So the order of
  calls that meet is chosen evenly, however many others there are in between. (X. Yuan et al., "Partial Order Aware
  Concurrency Sampling", CAV 2018)
- `Replay`: as it was recorded.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Protocol

from tests.fakes.store import Call

USUAL_STEPS = 80
"""About as many as a schedule has. The steps at which priorities change are chosen among these."""


class Walker(Protocol):
    """Whoever stands before a call: a client's thread, or a call that its caller has given up."""

    @property
    def name(self) -> str: ...

    @property
    def pending(self) -> Call | None: ...


Choose = Callable[[Sequence[Walker]], int]
"""Takes all that may go on, and returns the position of the one that does."""


def any_order(chance: Random) -> Choose:
    return lambda walkers: chance.randrange(len(walkers))


@dataclass
class Priorities:
    """See above."""

    chance: Random
    changes: Collection[int]
    """Steps at which the one that runs gets the lowest priority."""
    _step: int = 0
    _priorities: dict[str, float] = field(default_factory=dict)

    @classmethod
    def make(cls, chance: Random, changes: int) -> "Priorities":
        return cls(chance, chance.sample(range(1, USUAL_STEPS), changes))

    def __call__(self, walkers: Sequence[Walker]) -> int:
        self._step += 1
        chosen = self._highest(walkers)
        if self._step in self.changes:
            self._priorities[walkers[chosen].name] = -self._step
            chosen = self._highest(walkers)
        return chosen

    def _highest(self, walkers: Sequence[Walker]) -> int:
        for walker in walkers:
            self._priorities.setdefault(walker.name, self.chance.random())
        return max(range(len(walkers)), key=lambda each: self._priorities[walkers[each].name])


@dataclass
class Collisions:
    """See above."""

    chance: Random
    _priorities: dict[str, float] = field(default_factory=dict)

    def __call__(self, walkers: Sequence[Walker]) -> int:
        for walker in walkers:
            self._priorities.setdefault(walker.name, self.chance.random())
        chosen = max(range(len(walkers)), key=lambda each: self._priorities[walkers[each].name])
        call = walkers[chosen].pending
        for walker in walkers:
            if call and walker.pending and call.conflicts(walker.pending):
                self._priorities.pop(walker.name)
        self._priorities.pop(walkers[chosen].name, None)
        return chosen


@dataclass
class Replay:
    """Goes by names. If the one whose turn it is has ended, the one before goes on, or whoever is first."""

    turns: Iterable[str]
    _last: str = ""

    def __post_init__(self) -> None:
        self.turns = iter(self.turns)

    def __call__(self, walkers: Sequence[Walker]) -> int:
        names = [walker.name for walker in walkers]
        for wanted in (next(iter(self.turns), self._last), self._last, names[0]):
            if wanted in names:
                self._last = wanted
                return names.index(wanted)
        raise AssertionError("nobody can go on")


def choose_strategy(chance: Random) -> Choose:
    """Return one of the ways, as chance has it."""
    ways: Sequence[Callable[[], Choose]] = (
        lambda: any_order(chance),
        lambda: Collisions(chance),
        lambda: Collisions(chance),
        lambda: Priorities.make(chance, 1),
        lambda: Priorities.make(chance, 2),
        lambda: Priorities.make(chance, 3),
    )
    return chance.choice(ways)()
