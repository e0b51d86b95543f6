"""Arrival processes: each returns `count` sorted times, in seconds, between `start` and `end`."""

import math
import random
from collections.abc import Callable

BURST_REQUESTS = 10
"""Mean requests in a burst."""
BURST_SECONDS = 60.0
"""Mean delay of a request after its burst's beginning."""
DAY = 24 * 3600.0
DIURNAL_SWING = 0.8
"""The rate swings between 0.2 and 1.8 of its mean over a day."""

Arrivals = Callable[[int, float, float, random.Random], list[float]]


def poisson(count: int, start: float, end: float, rng: random.Random) -> list[float]:
    """Return a homogeneous Poisson process given its count: sorted uniform times."""
    return sorted(rng.uniform(start, end) for _ in range(count))


def bursty(count: int, start: float, end: float, rng: random.Random) -> list[float]:
    """Return a Neyman–Scott cluster process: bursts at uniform times, each request an exponential delay later."""
    centres = [rng.uniform(start, end) for _ in range(max(1, count // BURST_REQUESTS))]
    times = (rng.choice(centres) + rng.expovariate(1 / BURST_SECONDS) for _ in range(count))
    return sorted(min(t, end) for t in times)


def diurnal(count: int, start: float, end: float, rng: random.Random) -> list[float]:
    """Return an inhomogeneous Poisson process with a sinusoidal daily rate, by thinning (Lewis, Shedler 1979)."""
    times: list[float] = []
    while len(times) < count:
        t = rng.uniform(start, end)
        if rng.random() * (1 + DIURNAL_SWING) < 1 + DIURNAL_SWING * math.sin(2 * math.pi * t / DAY):
            times.append(t)
    return sorted(times)


ARRIVALS: dict[str, Arrivals] = {"poisson": poisson, "bursty": bursty, "diurnal": diurnal}
