"""The training run behind a trace: which clients train when, and which rounds are committed at a moment."""

import random
from bisect import bisect_right
from collections import defaultdict
from dataclasses import dataclass, field

from loadgen.traces.samplers import Sampler

TRAINING_SHARE = 0.9
"""Share of a round's time in which its updates arrive; the rest is aggregation."""


@dataclass(frozen=True)
class TrainingRun:
    """A finished training run, which can be asked what existed at any moment of it."""

    seconds_per_round: float
    members: list[list[str]]
    """Clients of each round in the order in which their updates arrive."""
    arrived: list[list[float]]
    """Seconds at which those updates arrive, ascending."""
    participations: dict[str, list[int]] = field(repr=False)
    """Rounds of each client, ascending."""

    @property
    def rounds(self) -> int:
        return len(self.members)

    def committed_at(self, round: int) -> float:  # noqa: A002
        """Return the second at which `round` is committed."""
        return (round + 1) * self.seconds_per_round

    def newest(self, t: float) -> int:
        """Return the newest round committed at `t`; round 0 if none is."""
        return max(0, min(self.rounds, int(t // self.seconds_per_round)) - 1)

    def last_participations(self, client: str, t: float, count: int) -> list[int]:
        """Return the client's last `count` rounds that are committed at `t`, ascending."""
        rounds = self.participations[client]
        end = bisect_right(rounds, self.newest(t))
        return rounds[max(0, end - count) : end]


def make_training_run(sampler: Sampler, rounds: int, hours: float, rng: random.Random) -> TrainingRun:
    """Return a run of `rounds` equally long rounds over `hours`."""
    length = hours * 3600 / rounds
    members, arrived = [], []
    participations: dict[str, list[int]] = defaultdict(list)
    for number in range(rounds):
        clients = [str(client) for client in sampler.pick(number)]
        members.append(clients)
        arrived.append(sorted(number * length + rng.uniform(0, TRAINING_SHARE * length) for _ in clients))
        for client in clients:
            participations[client].append(number)
    return TrainingRun(length, members, arrived, dict(participations))
