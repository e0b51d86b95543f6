"""Queues that feed each other, simulated event by event (simpy): where do they fill up first?"""

import random
from collections import defaultdict
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import simpy


@dataclass(frozen=True)
class Station:
    """Equal servers with one queue before them."""

    name: str
    servers: int


@dataclass(frozen=True)
class Flow:
    """Customers of one kind: they come as a Poisson process and visit stations one after the other."""

    name: str
    per_s: float
    visits: Sequence[tuple[str, float]]
    """Station, and mean seconds of service there (exponentially distributed)."""


@dataclass
class Seen:
    """What happened at a station."""

    busy_s: float = 0.0
    visits: int = 0
    waited_s: float = 0.0


@dataclass
class Simulated:
    """What happened in all."""

    stations: dict[str, Seen] = field(default_factory=lambda: defaultdict(Seen))
    finished: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from coming to leaving, by flow."""


def simulate(stations: Sequence[Station], flows: Sequence[Flow], seconds: float, rng: random.Random) -> Simulated:
    """Let customers come for `seconds`, starting empty, and return what was seen until then."""
    env = simpy.Environment()
    servers = {station.name: simpy.Resource(env, station.servers) for station in stations}
    seen = Simulated()
    for flow in flows:
        if flow.per_s > 0:
            env.process(_arrivals(env, servers, flow, seen, rng))
    env.run(until=seconds)
    return seen


def offered(stations: Sequence[Station], flows: Sequence[Flow]) -> Mapping[str, float]:
    """Return each station's load: work that comes in over what its servers can do; above 1 it cannot keep up."""
    load = dict.fromkeys((station.name for station in stations), 0.0)
    for flow in flows:
        for station, service_s in flow.visits:
            load[station] += flow.per_s * service_s
    return {station.name: load[station.name] / station.servers for station in stations}


Steps = Generator[simpy.Event, Any, None]


def _arrivals(
    env: simpy.Environment, servers: Mapping[str, Any], flow: Flow, seen: Simulated, rng: random.Random
) -> Steps:
    while True:
        yield env.timeout(rng.expovariate(flow.per_s))
        env.process(_customer(env, servers, flow, seen, rng))


def _customer(
    env: simpy.Environment, servers: Mapping[str, Any], flow: Flow, seen: Simulated, rng: random.Random
) -> Steps:
    came = env.now
    for station, service_s in flow.visits:
        queued = env.now
        with servers[station].request() as turn:
            yield turn
            at = seen.stations[station]
            at.waited_s += env.now - queued
            at.visits += 1
            service = rng.expovariate(1 / service_s)
            at.busy_s += service
            yield env.timeout(service)
    seen.finished[flow.name].append(env.now - came)
