"""How likely a kind of data is asked for next, given how long ago it was last: learned online.

A hazard rate by age, in the spirit of hit density (Beckmann, Chen and Cidon, "LHD: Improving cache hit rate by
maximizing hit density", NSDI 2018), with the kinds of FL data as classes: requests seen at an age, divided by the time
that data of this kind spent at that age.
"""

from itertools import pairwise

BUCKETS = 40
TICKS = 64.0
"""Ages are told apart by powers of two of 1/64 second, up to about 270 years."""

_EDGES = [0.0] + [2.0**bucket / 2 / TICKS for bucket in range(1, BUCKETS + 1)]
"""Bucket b holds the ages from `_EDGES[b]` to `_EDGES[b + 1]` seconds."""
_WIDTHS = [end - begin for begin, end in pairwise(_EDGES)]

STRENGTH = 2.0
"""Weight of the prior, as a number of requests."""

GAP_WEIGHT = 0.05
"""Weight of the latest interval in the mean time between requests."""

SETTLE = 8
"""Lives after which the time spent at each age is added up anew."""


class Hazard:
    """Requests per second by age, for one kind of data."""

    __slots__ = ("_asked", "_ended", "_spent", "_tails", "_unsettled", "prior")

    def __init__(self, prior: float) -> None:
        self.prior = prior
        """Chance that the next request is for such data, believed before any is seen."""
        self._asked = [0.0] * BUCKETS
        self._ended = [0.0] * BUCKETS
        """Lives that ended at each age, less those that began there."""
        self._tails = [0.0] * BUCKETS
        """Seconds that those lives spent in their last bucket, less those missing from their first."""
        self._spent = [0.0] * BUCKETS
        """Seconds spent at each age, added up from the two."""
        self._unsettled = 0

    def rate(self, age: float, gap: float) -> float:
        """Return requests a second expected between `age` and `gap` seconds later, the mean time to the next request.

        What no request has shown yet is believed to fade like 1 / age.
        """
        first = int(age * TICKS).bit_length()
        last = min(int((age + gap) * TICKS).bit_length(), BUCKETS - 1)
        if first == last:
            asked, spent = self._asked[first], self._spent[first]
        else:
            asked, spent = sum(self._asked[first : last + 1]), sum(self._spent[first : last + 1])
        return (asked + STRENGTH * self.prior) / (spent + STRENGTH * (gap + age))

    def lasts(self, gap: float, chance: float) -> float:
        """Return the greatest age in seconds at which the next request still comes with `chance`, `gap` seconds on."""
        for bucket in range(BUCKETS - 2, -1, -1):
            if self.rate(_EDGES[bucket], gap) * gap >= chance:
                return _EDGES[bucket + 1]
        return 0.0

    def asked(self, age: float) -> None:
        """Learn of a request at `age`."""
        self._asked[int(age * TICKS).bit_length()] += 1.0

    def spent(self, age: float, since: float = 0.0) -> None:
        """Learn that data of this kind lived from age `since` to `age` seconds."""
        last = int(age * TICKS).bit_length()
        self._ended[last] += 1.0
        self._tails[last] += age - _EDGES[last]
        if since:
            first = int(since * TICKS).bit_length()
            self._ended[first] -= 1.0
            self._tails[first] -= since - _EDGES[first]
        self._unsettled += 1
        if self._unsettled >= SETTLE:
            self._settle()

    def fade(self, factor: float) -> None:
        """Let what was learned weigh `factor` times as much."""
        self._asked = [value * factor for value in self._asked]
        self._ended = [value * factor for value in self._ended]
        self._tails = [value * factor for value in self._tails]
        self._settle()

    def _settle(self) -> None:
        self._unsettled = 0
        beyond = 0.0
        for bucket in range(BUCKETS - 1, -1, -1):
            self._spent[bucket] = self._tails[bucket] + beyond * _WIDTHS[bucket]
            beyond += self._ended[bucket]


class Gap:
    """The mean time between requests, of late; at least the least time that ages are told apart by."""

    __slots__ = ("_intervals", "_last", "seconds")

    def __init__(self) -> None:
        self.seconds = 1.0
        self._intervals = 0
        self._last: float | None = None

    def asked(self, now: float) -> None:
        """Learn of a request at second `now`."""
        if self._last is not None:
            self._intervals += 1
            mean = self.seconds + max(GAP_WEIGHT, 1 / self._intervals) * (now - self._last - self.seconds)
            self.seconds = max(mean, 1 / TICKS)
        self._last = now


class FixedHazard(Hazard):
    """A hazard that learns nothing: its prior for ever."""

    __slots__ = ()

    def asked(self, age: float) -> None:
        pass

    def spent(self, age: float, since: float = 0.0) -> None:
        pass
