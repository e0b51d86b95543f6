"""The hazard rate of a kind of data: how many requests a second it gets at each age, learned online.

The idea is hit density (Beckmann, Chen and Cidon, "LHD: Improving cache hit rate by maximizing hit density", NSDI
2018) with the kinds of FL data as its classes. Every object of a kind lives from the moment it becomes such data (a
round is committed, a model is requested) until it stops being so. At age `a` the hazard is

    requests seen at age `a` / seconds that all objects of the kind together spent at age `a`

Ages fall into buckets that double in width (..., 1/2-1 s, 1-2 s, 2-4 s, ...), since what matters is whether a request
comes after seconds, minutes or hours. A prior stands for what is believed before anything is seen: as if `PRIOR_LIVES`
objects had already lived through every bucket and been requested at a rate that falls off like 1 / age.

Example (`tests/policies/tailored/test_hazard.py` runs it): prior 0.5, horizon 1 s, and one object that was requested at
age 1.5 s and lived for 4 s.

    bucket   width   prior's requests       requests   object-seconds    rate a second
    1-2 s    1 s     2 * 1 * 0.5 / (1+1)    1          (2 + 1) * 1       (0.5 + 1) / 3   = 1/2
    2-4 s    2 s     2 * 2 * 0.5 / (1+2)    0          (2 + 1) * 2       (2/3 + 0) / 6   = 1/9
    4-8 s    4 s     2 * 4 * 0.5 / (1+4)    0          2 * 4             (4/5 + 0) / 8   = 1/10

A policy wants to know more than the rate at this instant: it plans until the next request of the job, which it expects
after `horizon` seconds. `Hazard.rate` therefore averages the rate from the present age on, each later moment weighing
by exp(-delay / horizon), the chance that no request has come before. Within a bucket the rate is constant, so the
average has a closed form: with `here` the bucket's rate and `after` the average from the bucket's end on,

    average = here + (after - here) * exp(-seconds to the bucket's end / horizon)

`after` is computed once for every bucket, from the last to the first, and kept until enough news has come in.
"""

from functools import lru_cache
from itertools import pairwise
from math import exp, frexp, sqrt
from typing import Final

BUCKETS: Final = 40
TICKS_PER_S: Final = 64.0
"""Bucket 0 holds ages below one tick of 1/64 s; each further bucket is as wide as all before it, up to 270 years."""

_EDGES: Final = [0.0] + [2.0**bucket / 2 / TICKS_PER_S for bucket in range(1, BUCKETS + 1)]
"""Seconds. Bucket b holds the ages from `_EDGES[b]` up to `_EDGES[b + 1]`."""
_WIDTHS: Final = [end - begin for begin, end in pairwise(_EDGES)]

PRIOR_LIVES: Final = 2.0
"""Weight of the prior, as a number of objects that lived through every bucket."""

INTERVAL_WEIGHT: Final = 0.05
"""Weight of the latest interval in the mean time between requests."""

SQRT1_2: Final = sqrt(0.5)

MOST_OBSERVATIONS: Final = 96
"""Observations after which the rates are computed again; fewer in the beginning, when each one changes much."""


def nearest_power_of_two(seconds: float) -> float:
    """Return the power of two nearest to `seconds` by ratio, at least 1/64: rates are kept for few horizons only."""
    fraction, exponent = frexp(max(seconds, 1 / TICKS_PER_S))
    return 2.0 ** (exponent if fraction > SQRT1_2 else exponent - 1)


class Hazard:
    """Requests a second by age, for one kind of data."""

    __slots__ = ("_ends", "_observations", "_observations_due", "_partial_s", "_rates", "_requests", "prior")

    def __init__(self, prior: float) -> None:
        self.prior = prior
        """Chance that the next request is for such data, believed before any is seen."""
        self._requests = [0.0] * BUCKETS
        self._ends = [0.0] * BUCKETS
        """Lives that ended in each bucket, less those that began in it."""
        self._partial_s = [0.0] * BUCKETS
        """Seconds that those lives spent in their last bucket, less the seconds missing from their first one."""
        self._rates: dict[float, list[tuple[float, float]]] = {}
        """By horizon: of each bucket its own rate, and the average rate from its end on."""
        self._observations = 0
        """Since the rates were computed."""
        self._observations_due = 1
        """Observations after which the rates are computed again."""

    def rate(self, age: float, horizon: float) -> float:
        """Return the average requests a second from `age` seconds on, weighing by exp(-delay / horizon).

        Args:
            age: seconds since the object became data of this kind.
            horizon: mean seconds to the job's next request; a result of `nearest_power_of_two`.
        """
        rates = self._rates.get(horizon) or self._compute_rates(horizon)
        bucket = int(age * TICKS_PER_S).bit_length()
        if bucket >= len(rates):
            return self._rate_in_wide_bucket(bucket, horizon)
        here, after = rates[bucket]
        return here + (after - here) * exp((age - _EDGES[bucket + 1]) / horizon)

    def observe_request(self, age: float) -> None:
        """Learn of a request at `age` seconds."""
        self._requests[int(age * TICKS_PER_S).bit_length()] += 1.0
        self._count_observation()

    def observe_life(self, end: float, begin: float = 0.0) -> None:
        """Learn that an object was of this kind from age `begin` to age `end`, in seconds."""
        last = int(end * TICKS_PER_S).bit_length()
        self._ends[last] += 1.0
        self._partial_s[last] += end - _EDGES[last]
        if begin:
            first = int(begin * TICKS_PER_S).bit_length()
            self._ends[first] -= 1.0
            self._partial_s[first] -= begin - _EDGES[first]
        self._count_observation()

    def fade(self, factor: float) -> None:
        """Let everything learned weigh `factor` times as much; kept rates change little by it and stay."""
        self._requests = [value * factor for value in self._requests]
        self._ends = [value * factor for value in self._ends]
        self._partial_s = [value * factor for value in self._partial_s]

    def _count_observation(self) -> None:
        self._observations += 1
        if self._observations >= self._observations_due:
            self._observations = 0
            self._observations_due = min(2 * self._observations_due, MOST_OBSERVATIONS)
            self._rates = {}

    def _compute_rates(self, horizon: float) -> list[tuple[float, float]]:
        """Compute and keep each bucket's rate and the average from its end on, from the last bucket to the first.

        Buckets much wider than the horizon are left out: nothing beyond their end has any weight.
        """
        prior_requests, survival = _by_bucket(horizon)
        top = len(survival)
        rates = self._rates[horizon] = [(0.0, 0.0)] * top
        after = self._rate_in_wide_bucket(top, horizon)
        lives_beyond = sum(self._ends[top:]) + PRIOR_LIVES  # they lived through the whole bucket
        requests, ends, partial_s, prior = self._requests, self._ends, self._partial_s, self.prior
        for bucket in range(top - 1, -1, -1):
            object_seconds = partial_s[bucket] + lives_beyond * _WIDTHS[bucket]
            rate = (requests[bucket] + prior * prior_requests[bucket]) / object_seconds
            rates[bucket] = (rate, after)
            after = rate + (after - rate) * survival[bucket]
            lives_beyond += ends[bucket]
        return rates

    def _rate_in_wide_bucket(self, bucket: int, horizon: float) -> float:
        """Return the requests a second within a bucket so wide that the average is the bucket's own rate."""
        width = _WIDTHS[bucket]
        object_seconds = self._partial_s[bucket] + (sum(self._ends[bucket + 1 :]) + PRIOR_LIVES) * width
        return (self._requests[bucket] + PRIOR_LIVES * width * self.prior / (horizon + _EDGES[bucket])) / object_seconds


class FixedHazard(Hazard):
    """A hazard that learns nothing and keeps its prior for ever; for the ablation without adaptation."""

    __slots__ = ()

    def observe_request(self, age: float) -> None:
        pass

    def observe_life(self, end: float, begin: float = 0.0) -> None:
        pass


@lru_cache(maxsize=256)
def _by_bucket(horizon: float) -> tuple[list[float], list[float]]:
    """Return, by bucket that matters, the requests of a prior of 1 and the chance that no request comes within it."""
    top = min(int(512 * horizon * TICKS_PER_S).bit_length(), BUCKETS - 1)
    prior_requests = [
        PRIOR_LIVES * width / (horizon + begin) for width, begin in zip(_WIDTHS[:top], _EDGES, strict=False)
    ]
    return prior_requests, [exp(-width / horizon) for width in _WIDTHS[:top]]


class RequestInterval:
    """The mean time between the latest requests, as an exponentially weighted average."""

    __slots__ = ("_intervals", "_latest", "_mean", "seconds")

    def __init__(self) -> None:
        self.seconds = 1.0
        """The mean, rounded by `nearest_power_of_two`."""
        self._mean = 1.0
        self._intervals = 0
        self._latest: float | None = None

    def observe_request(self, now: float) -> None:
        """Learn of a request at second `now`."""
        if self._latest is not None:
            self._intervals += 1
            self._mean += max(INTERVAL_WEIGHT, 1 / self._intervals) * (now - self._latest - self._mean)
            if not 0.9 < self._mean / self.seconds < 1.1:
                self.seconds = nearest_power_of_two(self._mean)
        self._latest = now
