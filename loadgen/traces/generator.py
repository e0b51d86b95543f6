"""Generates traces: a training run and its users' requests, as events ordered by time."""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from flstore_core.errors import InvalidParameters, unknown
from loadgen.traces.arrivals import ARRIVALS
from loadgen.traces.habits import Habit
from loadgen.traces.mixes import MIXES, Part
from loadgen.traces.samplers import SAMPLERS
from loadgen.traces.training_run import TrainingRun, make_training_run

Event = dict[str, Any]

MODEL_BYTES = {
    "resnet18": 11_689_512 * 4,
    "mobilenet_v3_small": 2_542_856 * 4,
    "efficientnet_v2_s": 21_458_488 * 4,
    "swin_v2_t": 28_351_570 * 4,
    "lora_7b": 8_388_608 * 2,
}
"""Bytes of one update: float32 weights by torchvision's parameter counts; for the adapter of a 7B-parameter model,
bfloat16 LoRA of rank 16 on the query and value projections of 32 layers of width 4,096."""


@dataclass(frozen=True)
class TraceSettings:
    """The parameters of a trace; the defaults are the paper's evaluation. Equal settings give equal traces."""

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
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise unknown(name, getattr(self, name), choices)
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


_CHOICES: dict[str, Mapping[str, object]] = {
    "model": MODEL_BYTES,
    "mix": MIXES,
    "arrivals": ARRIVALS,
    "sampling": SAMPLERS,
}


def generate(settings: TraceSettings) -> list[Event]:
    """Return the events of a trace, ordered by time; every key that a request names was created before it."""
    rng = random.Random(settings.seed)
    sampler = SAMPLERS[settings.sampling](settings.clients, settings.per_round, rng)
    run = make_training_run(sampler, settings.rounds, settings.hours, rng)
    events = [*_training(run, settings), *_requests(run, settings, rng)]
    return sorted(events, key=lambda event: event["t"])


def _training(run: TrainingRun, settings: TraceSettings) -> Iterator[Event]:
    size = MODEL_BYTES[settings.model]
    for number, (clients, times) in enumerate(zip(run.members, run.arrived, strict=True)):
        named = {"job": settings.job, "round": number}
        for client, t in zip(clients, times, strict=True):
            yield {"t": _micro(t), "event": "update", **named, "client": client, "bytes": size}
        yield {"t": _micro(run.committed_at(number)), "event": "commit", **named, "aggregate_bytes": size}


def _requests(run: TrainingRun, settings: TraceSettings, rng: random.Random) -> Iterator[Event]:
    for t, habit in _schedule(run, settings, rng):
        request = habit.request(t, run, rng)
        keys = [{"round": number, "client": client} for number, client in request.keys]
        named = {"job": settings.job, "workload": request.workload, "pattern": request.pattern.value}
        yield {"t": _micro(t), "event": "request", **named, "keys": keys}


def _schedule(run: TrainingRun, settings: TraceSettings, rng: random.Random) -> list[tuple[float, Habit]]:
    """Return the time and the habit of each request, ordered by time; none comes before the first commit."""
    schedule: list[tuple[float, Habit]] = []
    for part, count in _counts(MIXES[settings.mix](), settings.requests):
        start, end = run.committed_at(0), run.committed_at(run.rounds - 1)
        begin, finish = start + part.begin * (end - start), start + part.end * (end - start)
        arrivals = ARRIVALS[settings.arrivals](count, begin, finish, rng)
        schedule += [(t, part.habit) for t in part.habit.request_times(arrivals, run, rng)]
    return sorted(schedule, key=lambda item: item[0])


def _counts(parts: list[Part], requests: int) -> Iterator[tuple[Part, int]]:
    """Yield each part with its number of requests; the numbers add up to `requests`."""
    total = sum(part.share for part in parts)
    done = 0.0
    for part in parts:
        before, done = done, done + part.share  # totals are rounded, not shares, so that no request is lost
        yield part, round(done / total * requests) - round(before / total * requests)


def _micro(t: float) -> float:
    return round(t, 6)
