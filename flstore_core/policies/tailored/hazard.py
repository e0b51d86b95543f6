"""How likely a kind of data is asked for next, given how long ago it was last: learned online.

A hazard rate by age, in the spirit of hit density (Beckmann, Chen and Cidon, "LHD: Improving cache hit rate by
maximizing hit density", NSDI 2018), with the kinds of FL data as classes: requests seen at an age, divided by the time
that data of this kind spent at that age.
"""

from functools import lru_cache
from itertools import pairwise
from math import exp, frexp, sqrt
from typing import Final

BUCKETS: Final = 40
TICKS: Final = 64.0
"""Ages are told apart by powers of two of 1/64 second, up to about 270 years."""

_EDGES: Final = [0.0] + [2.0**bucket / 2 / TICKS for bucket in range(1, BUCKETS + 1)]
"""Bucket b holds the ages from `_EDGES[b]` to `_EDGES[b + 1]` seconds."""
_WIDTHS: Final = [end - begin for begin, end in pairwise(_EDGES)]

STRENGTH: Final = 2.0
"""Weight of the prior, as a number of lives."""

GAP_WEIGHT: Final = 0.05
"""Weight of the latest interval in the mean time between requests."""

SQRT1_2: Final = sqrt(0.5)

NEWS: Final = 96
"""Requests and lives learned of after which the rates are worked out anew; fewer in the beginning."""


def near(seconds: float) -> float:
    """Return the nearest power of two, since rates are worked out for a few horizons only; never zero."""
    fraction, exponent = frexp(max(seconds, 1 / TICKS))
    return 2.0 ** (exponent if fraction > SQRT1_2 else exponent - 1)


class Hazard:
    """Requests per second by age, for one kind of data."""

    __slots__ = ("_asked", "_ended", "_news", "_patience", "_rates", "_tails", "prior")

    def __init__(self, prior: float) -> None:
        self.prior = prior
        """Chance that the next request is for such data, believed before any is seen."""
        self._asked = [0.0] * BUCKETS
        self._ended = [0.0] * BUCKETS
        """Lives that ended at each age, less those that began there."""
        self._tails = [0.0] * BUCKETS
        """Seconds that those lives spent in their last bucket, less those missing from their first."""
        self._rates: dict[float, list[tuple[float, float]]] = {}
        """Of each horizon asked for, the rate within each bucket and the mean rate from its end on."""
        self._news = 0
        self._patience = 1

    def rate(self, age: float, horizon: float) -> float:
        """Return the mean requests a second from `age` on, each moment weighing by the chance that it is reached.

        That chance falls off exponentially in `horizon` seconds, as the mean time to the job's next request, one of
        those that `near` gives. What no request has shown yet is believed to fade like 1 / age.
        """
        rates = self._rates.get(horizon) or self._work_out(horizon)
        bucket = int(age * TICKS).bit_length()
        if bucket >= len(rates):
            return self._rate_beyond(bucket, horizon)
        here, after = rates[bucket]
        return here + (after - here) * exp((age - _EDGES[bucket + 1]) / horizon)

    def _rate_beyond(self, bucket: int, horizon: float) -> float:
        """Return the requests a second within a bucket so wide that nothing but the rate at the moment counts."""
        width = _WIDTHS[bucket]
        spent = self._tails[bucket] + (sum(self._ended[bucket + 1 :]) + STRENGTH) * width
        return (self._asked[bucket] + STRENGTH * width * self.prior / (horizon + _EDGES[bucket])) / spent

    def asked(self, age: float) -> None:
        """Learn of a request at `age`."""
        self._asked[int(age * TICKS).bit_length()] += 1.0
        self._learned()

    def spent(self, age: float, since: float = 0.0) -> None:
        """Learn that data of this kind lived from age `since` to `age` seconds."""
        last = int(age * TICKS).bit_length()
        self._ended[last] += 1.0
        self._tails[last] += age - _EDGES[last]
        if since:
            first = int(since * TICKS).bit_length()
            self._ended[first] -= 1.0
            self._tails[first] -= since - _EDGES[first]
        self._learned()

    def fade(self, factor: float) -> None:
        """Let what was learned weigh `factor` times as much; rates, which change little by it, wait for news."""
        self._asked = [value * factor for value in self._asked]
        self._ended = [value * factor for value in self._ended]
        self._tails = [value * factor for value in self._tails]

    def _learned(self) -> None:
        self._news += 1
        if self._news >= self._patience:
            self._news = 0
            self._patience = min(2 * self._patience, NEWS)
            self._rates = {}

    def _work_out(self, horizon: float) -> list[tuple[float, float]]:
        """Return each bucket's rate and the mean rate from its end on, worked out from the last bucket to the first.

        Buckets much wider than the horizon are left out.
        """
        believed, left = _of_horizon(horizon)
        top = len(left)
        rates = self._rates[horizon] = [(0.0, 0.0)] * top
        after = self._rate_beyond(top, horizon)
        beyond = sum(self._ended[top:]) + STRENGTH
        asked, ended, tails, prior = self._asked, self._ended, self._tails, self.prior
        for bucket in range(top - 1, -1, -1):
            rate = (asked[bucket] + prior * believed[bucket]) / (tails[bucket] + beyond * _WIDTHS[bucket])
            rates[bucket] = (rate, after)
            after = rate + (after - rate) * left[bucket]
            beyond += ended[bucket]
        return rates


@lru_cache(maxsize=256)
def _of_horizon(horizon: float) -> tuple[list[float], list[float]]:
    """Return, of each bucket that matters, the requests believed for a prior of 1 and the chance to live through it."""
    top = min(int(512 * horizon * TICKS).bit_length(), BUCKETS - 1)
    believed = [STRENGTH * width / (horizon + begin) for width, begin in zip(_WIDTHS[:top], _EDGES, strict=False)]
    return believed, [exp(-width / horizon) for width in _WIDTHS[:top]]


class Gap:
    """The mean time between requests, of late; at least the least time that ages are told apart by."""

    __slots__ = ("_intervals", "_last", "_mean", "seconds")

    def __init__(self) -> None:
        self.seconds = 1.0
        """One of those that `near` gives."""
        self._mean = 1.0
        self._intervals = 0
        self._last: float | None = None

    def asked(self, now: float) -> None:
        """Learn of a request at second `now`."""
        if self._last is not None:
            self._intervals += 1
            self._mean += max(GAP_WEIGHT, 1 / self._intervals) * (now - self._last - self._mean)
            if not 0.9 < self._mean / self.seconds < 1.1:
                self.seconds = near(self._mean)
        self._last = now


class FixedHazard(Hazard):
    """A hazard that learns nothing: its prior for ever."""

    __slots__ = ()

    def asked(self, age: float) -> None:
        pass

    def spent(self, age: float, since: float = 0.0) -> None:
        pass
