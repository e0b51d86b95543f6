"""How users of FL data ask: one habit, one small class. The reasons are in docs/policies.md.

A habit gets the times at which its user turns to the system, may move them (`times`), and says at each, in order, what
is asked (`ask`). It knows the training run and nothing of any cache.
"""

import random
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from loadgen.traces.world import World


class Ask(NamedTuple):
    """One request of a trace."""

    workload: str
    pattern: Pattern
    keys: list[tuple[int, str]]
    """Round and member."""


class Habit(Protocol):
    """One kind of user."""

    def times(self, arrivals: list[float], world: World, rng: random.Random) -> list[float]:
        """Return when the user asks, given when it turns to the system; as many times."""

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        """Return what is asked at `t`."""


class Whenever:
    """Asks the moment it comes."""

    def times(self, arrivals: list[float], world: World, rng: random.Random) -> list[float]:
        return arrivals


@dataclass
class AfterCommit:
    """Asks soon after the next commit: a pipeline that a finished round sets off."""

    delay: float = 10.0
    """Mean seconds between the commit and the request."""

    def times(self, arrivals: list[float], world: World, rng: random.Random) -> list[float]:
        commits = [world.committed_at(number) for number in range(world.rounds)]
        after = (min(bisect_left(commits, t), world.rounds - 1) for t in arrivals)
        return [commits[number] + rng.expovariate(1 / self.delay) for number in after]


@dataclass
class Serving(Whenever):
    """P1: inference on the released model; now and then the newest aggregate is released."""

    release_rounds: int = 50
    released: int = 0

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        newest = world.newest(t)
        if newest - self.released >= self.release_rounds:
            self.released = newest
        return Ask("serving", Pattern.P1, [(self.released, AGGREGATE)])


class Evaluation(Whenever):
    """P1: the newest aggregate; one time in ten together with the one before, to see whether it got worse."""

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        newest = world.newest(t)
        first = max(0, newest - 1) if rng.random() < 0.1 else newest
        return Ask("evaluation", Pattern.P1, [(number, AGGREGATE) for number in range(first, newest + 1)])


@dataclass
class NewestRound(AfterCommit):
    """P2: all updates of the newest round, for filtering, clustering and the like."""

    workloads: tuple[str, ...] = ("filtering", "clustering", "contribution")

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        return _whole_round(rng.choice(self.workloads), world, world.newest(t))


@dataclass
class Audit:
    """P2: one sitting in which an auditor walks back, round by round, from the newest or from a suspicious one."""

    shortest: int = 5
    longest: int = 15
    pause: float = 30.0
    """Mean seconds spent looking at one round."""
    from_newest: float = 0.8
    """Share of audits that begin at the newest round."""
    sittings: list[int] = field(default_factory=list)
    """Lengths of the sittings still to come, the next one last."""
    at: int = 0
    """Round looked at last."""
    left: int = 0
    """Rounds still to be looked at in this sitting."""

    def times(self, arrivals: list[float], world: World, rng: random.Random) -> list[float]:
        times: list[float] = []
        while len(times) < len(arrivals):
            t = arrivals[len(times)]
            self.sittings.insert(0, rng.randint(self.shortest, self.longest))
            for _ in range(self.sittings[0]):
                times.append(t)
                t += rng.expovariate(1 / self.pause)
        return sorted(times[: len(arrivals)])

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        if self.left == 0:
            self.left = self.sittings.pop()
            self.at = 0
        if self.at == 0:
            newest = world.newest(t)
            self.at = newest if rng.random() < self.from_newest else rng.randint(0, newest)
        else:
            self.at -= 1
        self.left -= 1
        return _whole_round("audit", world, self.at)


@dataclass
class TrackedClient(Whenever):
    """P3: the last participations of one client that drew attention in the newest round, until attention moves on."""

    participations: int = 5
    fewest: int = 15
    most: int = 25
    """Requests for a client before attention moves on."""
    client: str = ""
    left: int = 0

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        if self.left == 0:
            self.client = rng.choice(world.members[world.newest(t)])
            self.left = rng.randint(self.fewest, self.most)
        self.left -= 1
        return _one_client(rng.choice(("reputation", "provenance")), world, self.client, t, self.participations)


class Dashboard(Whenever):
    """P4: metadata of recent rounds: a dashboard's ten, a scheduler's five, once in a while a hundred."""

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        newest = world.newest(t)
        workload, count = rng.choices(
            [("dashboard", 10), ("scheduling", 5), ("hyperparameters", 100)], weights=[0.6, 0.35, 0.05]
        )[0]
        return Ask(workload, Pattern.P4, [(n, METADATA) for n in range(max(0, newest - count + 1), newest + 1)])


class Anything(Whenever):
    """Random: any pattern, any round of the history, any client."""

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        number = rng.randint(0, world.newest(t))
        pattern = rng.choice(list(Pattern))
        if pattern is Pattern.P2:
            return _whole_round("random", world, number)
        if pattern is Pattern.P3:
            return _one_client("random", world, rng.choice(world.members[number]), t, 5)
        return Ask("random", pattern, [(number, AGGREGATE if pattern is Pattern.P1 else METADATA)])


@dataclass
class FalseScan(Whenever):
    """Adversarial P2: two steps back, which look like an audit, then a jump to another old round."""

    at: int = 0
    steps: int = 0

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        if self.steps == 0 or self.at == 0:
            self.steps = 3
            self.at = rng.randint(0, world.newest(t))
        else:
            self.at -= 1
        self.steps -= 1
        return _whole_round("false-scan", world, self.at)


@dataclass
class OldFavourites(Whenever):
    """Adversarial P1: any of a dozen old aggregates, never the newest; recency is all that helps."""

    favourites: int = 12
    lasting: int = 200
    """Rounds after which they are others."""

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        newest = world.newest(t)
        first = newest // self.lasting * self.lasting // 2
        return Ask("old-favourites", Pattern.P1, [(min(first + rng.randrange(self.favourites), newest), AGGREGATE)])


@dataclass
class FickleClient(Whenever):
    """Adversarial P3: a client asked for just often enough to look tracked, and never again."""

    client: str = ""
    left: int = 0

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        if self.left == 0:
            self.client = rng.choice(world.members[rng.randint(0, world.newest(t))])
            self.left = 2
        self.left -= 1
        return _one_client("fickle", world, self.client, t, 5)


@dataclass
class OldRoundTwice(Whenever):
    """Adversarial P2: an old round, and soon again the same: what a plain cache does best."""

    at: int = 0
    left: int = 0

    def ask(self, t: float, world: World, rng: random.Random) -> Ask:
        if self.left == 0:
            self.at = rng.randint(0, world.newest(t))
            self.left = 2
        self.left -= 1
        return _whole_round("old-round", world, self.at)


def _whole_round(workload: str, world: World, number: int) -> Ask:
    return Ask(workload, Pattern.P2, [(number, client) for client in world.members[number]])


def _one_client(workload: str, world: World, client: str, t: float, count: int) -> Ask:
    rounds = world.last_participations(client, t, count)
    return Ask(workload, Pattern.P3, [(number, client) for number in rounds])
