"""Habits: the ways in which users of FL data make requests, one class each. docs/policies.md gives the reasons.

A habit receives the times at which its user turns to the system and may move them (`request_times`). Then it is called
for each of these times, in order, and returns the request (`request`). It knows the training run and no cache.

Example: `NewestRound` gets arrivals at 100 s and 130 s; rounds are committed every 180 s. Both requests move to soon
after 180 s, say 184 s and 197 s, and read all updates of the round committed at 180 s.
"""

import random
from bisect import bisect_left
from collections import deque
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from flstore_core.ids import AGGREGATE, METADATA
from flstore_core.patterns import Pattern
from loadgen.traces.training_run import TrainingRun


class Request(NamedTuple):
    """One request of a trace."""

    workload: str
    pattern: Pattern
    keys: list[tuple[int, str]]
    """Round and member."""


class Habit(Protocol):
    """One kind of user."""

    def request_times(self, arrivals: list[float], run: TrainingRun, rng: random.Random) -> list[float]:
        """Return the times of the requests, one for each arrival."""

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        """Return the request made at `t`."""


class Whenever:
    """Makes each request at its arrival."""

    def request_times(self, arrivals: list[float], run: TrainingRun, rng: random.Random) -> list[float]:
        return arrivals


@dataclass
class AfterCommit:
    """Makes each request soon after the next commit: a pipeline that a finished round starts."""

    delay: float = 10.0
    """Mean seconds between the commit and the request."""

    def request_times(self, arrivals: list[float], run: TrainingRun, rng: random.Random) -> list[float]:
        commits = [run.committed_at(number) for number in range(run.rounds)]
        after = (min(bisect_left(commits, t), run.rounds - 1) for t in arrivals)
        return [commits[number] + rng.expovariate(1 / self.delay) for number in after]


@dataclass
class Serving(Whenever):
    """P1: inference on the released model; every 50 rounds or so the newest aggregate is released."""

    release_rounds: int = 50
    released: int = 0

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        newest = run.newest(t)
        if newest - self.released >= self.release_rounds:
            self.released = newest
        return Request("serving", Pattern.P1, [(self.released, AGGREGATE)])


class Evaluation(Whenever):
    """P1: evaluate the newest aggregate; one time in ten, compare it with the one before."""

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        newest = run.newest(t)
        first = max(0, newest - 1) if rng.random() < 0.1 else newest
        return Request("evaluation", Pattern.P1, [(number, AGGREGATE) for number in range(first, newest + 1)])


@dataclass
class NewestRound(AfterCommit):
    """P2: all updates of the newest round, for filtering, clustering and the like."""

    workloads: tuple[str, ...] = ("filtering", "clustering", "contribution")

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        return _whole_round(rng.choice(self.workloads), run, run.newest(t))


@dataclass
class Audit:
    """P2: sittings in which an auditor walks back, round by round, from the newest or from a suspicious round."""

    shortest: int = 5
    longest: int = 15
    pause: float = 30.0
    """Mean seconds spent on one round."""
    from_newest: float = 0.8
    """Share of audits that begin at the newest round."""
    sittings: deque[int] = field(default_factory=deque)
    """Number of rounds of each sitting to come, the next sitting first."""
    at: int = 0
    """The round read last; 0 if a sitting begins, or if the audit has reached the first round and goes on elsewhere."""
    left: int = 0
    """Rounds still to be read in this sitting."""

    def request_times(self, arrivals: list[float], run: TrainingRun, rng: random.Random) -> list[float]:
        times: list[float] = []
        while len(times) < len(arrivals):
            t = arrivals[len(times)]
            # A sitting uses up as many arrivals as it has rounds: only the first of them decides when it begins.
            self.sittings.append(rng.randint(self.shortest, self.longest))
            for _ in range(self.sittings[-1]):
                times.append(t)
                t += rng.expovariate(1 / self.pause)
        return sorted(times[: len(arrivals)])

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        if self.left == 0:
            self.left = self.sittings.popleft()
            self.at = 0
        if self.at == 0:
            newest = run.newest(t)
            self.at = newest if rng.random() < self.from_newest else rng.randint(0, newest)
        else:
            self.at -= 1
        self.left -= 1
        return _whole_round("audit", run, self.at)


@dataclass
class TrackedClient(Whenever):
    """P3: the last participations of one client of the newest round, 15 to 25 times; then another client's."""

    participations: int = 5
    fewest: int = 15
    most: int = 25
    """Bounds on the number of requests about one client."""
    client: str = ""
    left: int = 0

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        if self.left == 0:
            self.client = rng.choice(run.members[run.newest(t)])
            self.left = rng.randint(self.fewest, self.most)
        self.left -= 1
        return _one_client(rng.choice(("reputation", "provenance")), run, self.client, t, self.participations)


class Dashboard(Whenever):
    """P4: metadata of recent rounds: mostly 10 for a dashboard, 5 for a scheduler, sometimes 100."""

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        newest = run.newest(t)
        workload, count = rng.choices(
            [("dashboard", 10), ("scheduling", 5), ("hyperparameters", 100)], weights=[0.6, 0.35, 0.05]
        )[0]
        return Request(workload, Pattern.P4, [(n, METADATA) for n in range(max(0, newest - count + 1), newest + 1)])


class Anything(Whenever):
    """Random: any pattern, any committed round, any client."""

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        number = rng.randint(0, run.newest(t))
        pattern = rng.choice(list(Pattern))
        if pattern is Pattern.P2:
            return _whole_round("random", run, number)
        if pattern is Pattern.P3:
            return _one_client("random", run, rng.choice(run.members[number]), t, 5)
        return Request("random", pattern, [(number, AGGREGATE if pattern is Pattern.P1 else METADATA)])


@dataclass
class FalseScan(Whenever):
    """Adversarial P2: two steps back, like an audit, then a jump to another old round."""

    at: int = 0
    steps: int = 0

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        if self.steps == 0 or self.at == 0:
            self.steps = 3
            self.at = rng.randint(0, run.newest(t))
        else:
            self.at -= 1
        self.steps -= 1
        return _whole_round("false-scan", run, self.at)


@dataclass
class OldFavourites(Whenever):
    """Adversarial P1: any of a dozen old aggregates, never the newest; only recency helps a cache."""

    favourites: int = 12
    lasting: int = 200
    """Rounds after which the favourites change."""

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        newest = run.newest(t)
        # Half of the last multiple of `lasting`: the same for that many rounds, and old.
        first = newest // self.lasting * self.lasting // 2
        return Request("old-favourites", Pattern.P1, [(min(first + rng.randrange(self.favourites), newest), AGGREGATE)])


@dataclass
class FickleClient(Whenever):
    """Adversarial P3: a client requested just often enough to look tracked, and never again."""

    client: str = ""
    left: int = 0

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        if self.left == 0:
            self.client = rng.choice(run.members[rng.randint(0, run.newest(t))])
            self.left = 2
        self.left -= 1
        return _one_client("fickle", run, self.client, t, 5)


@dataclass
class OldRoundTwice(Whenever):
    """Adversarial P2: an old round, and at once the same round again, which a plain cache serves best."""

    at: int = 0
    left: int = 0

    def request(self, t: float, run: TrainingRun, rng: random.Random) -> Request:
        if self.left == 0:
            self.at = rng.randint(0, run.newest(t))
            self.left = 2
        self.left -= 1
        return _whole_round("old-round", run, self.at)


def _whole_round(workload: str, run: TrainingRun, number: int) -> Request:
    return Request(workload, Pattern.P2, [(number, client) for client in run.members[number]])


def _one_client(workload: str, run: TrainingRun, client: str, t: float, count: int) -> Request:
    rounds = run.last_participations(client, t, count)
    return Request(workload, Pattern.P3, [(number, client) for number in rounds])
