"""Makes traces: a training run and the users that ask for its data, as events in order of time."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidParameters, unknown
from loadgen.traces.arrivals import ARRIVALS
from loadgen.traces.habits import Habit
from loadgen.traces.mixes import MIXES, Part
from loadgen.traces.models import MODEL_BYTES
from loadgen.traces.sampling import SAMPLERS
from loadgen.traces.world import World, make_world

Event = dict[str, Any]


@dataclass(frozen=True)
class TraceSettings:
    """What a trace is made from; the defaults are the paper's evaluation. Equal settings give equal traces."""

    clients: int = 250
    per_round: int = 10
    rounds: int = 1000
    model: str = "resnet18"
    requests: int = 3000
    hours: float = 50.0
    mix: str = "paper"
    arrivals: str = "poisson"
    sampling: str = "uniform"
    seed: int = 1
    job: str = "job"

    def __post_init__(self) -> None:
        for name, tables in _TABLES.items():
            if getattr(self, name) not in tables:
                raise unknown(name, getattr(self, name), tables)
        for name in ("clients", "per_round", "rounds", "hours"):
            if not getattr(self, name) > 0:
                raise InvalidParameters(f"{name} is {getattr(self, name)}; use more than zero")
        if self.requests < 0:
            raise InvalidParameters(f"requests is {self.requests}; use zero or more")
        if self.per_round > self.clients:
            raise InvalidParameters(f"per_round is {self.per_round} and there are only {self.clients} clients")

    @property
    def round_bytes(self) -> int:
        """Bytes of one round: its updates and its aggregate."""
        return (self.per_round + 1) * MODEL_BYTES[self.model]


_TABLES: dict[str, Mapping[str, object]] = {
    "model": MODEL_BYTES,
    "mix": MIXES,
    "arrivals": ARRIVALS,
    "sampling": SAMPLERS,
}


def generate(settings: TraceSettings) -> list[Event]:
    """Return the events of a trace, ordered by time; what a request names was created before."""
    rng = random.Random(settings.seed)
    sampler = SAMPLERS[settings.sampling](settings.clients, settings.per_round, rng)
    world = make_world(sampler, settings.rounds, settings.hours, rng)
    events = [*_training(world, settings), *_requests(world, settings, rng)]
    return sorted(events, key=lambda event: event["t"])


def _training(world: World, settings: TraceSettings) -> Iterator[Event]:
    size = MODEL_BYTES[settings.model]
    for number, (clients, times) in enumerate(zip(world.members, world.arrived, strict=True)):
        named = {"job": settings.job, "round": number}
        for client, t in zip(clients, times, strict=True):
            yield {"t": _micro(t), "event": "update", **named, "client": client, "bytes": size}
        yield {"t": _micro(world.committed_at(number)), "event": "commit", **named, "aggregate_bytes": size}


def _requests(world: World, settings: TraceSettings, rng: random.Random) -> Iterator[Event]:
    for t, habit in _schedule(world, settings, rng):
        ask = habit.ask(t, world, rng)
        keys = [{"round": number, "client": client} for number, client in ask.keys]
        named = {"job": settings.job, "workload": ask.workload, "pattern": ask.pattern.value}
        yield {"t": _micro(t), "event": "request", **named, "keys": keys}


def _schedule(world: World, settings: TraceSettings, rng: random.Random) -> list[tuple[float, Habit]]:
    """Return who asks when, in order of time; nobody asks before the first commit."""
    schedule: list[tuple[float, Habit]] = []
    for part, count in _counts(MIXES[settings.mix](), settings.requests):
        start, end = world.committed_at(0), world.committed_at(world.rounds - 1)
        begin, finish = start + part.begin * (end - start), start + part.end * (end - start)
        arrivals = ARRIVALS[settings.arrivals](count, begin, finish, rng)
        schedule += [(t, part.habit) for t in part.habit.times(arrivals, world, rng)]
    return sorted(schedule, key=lambda item: item[0])


def _counts(parts: list[Part], requests: int) -> Iterator[tuple[Part, int]]:
    """Share `requests` out among the parts, exactly."""
    total = sum(part.share for part in parts)
    given = 0.0
    for part in parts:
        before, given = given, given + part.share
        yield part, round(given / total * requests) - round(before / total * requests)


def _micro(t: float) -> float:
    return round(t, 6)
