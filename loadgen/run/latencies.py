"""An HDR histogram of durations, filled in batches.

The buckets are those of HdrHistogram (Tene) at three significant digits: 2,048 of one microsecond, then 1,024 for each
doubling. Example: 3 ms falls into a bucket of 2 µs, 3 s into one of 2.048 ms. Recording a duration only appends it; a
batch of 4,096 is counted at once, in a fraction of a millisecond.
"""

from array import array
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Counts = NDArray[np.int64]

HOUR_US = 3_600_000_000
"""Longest duration in microseconds; longer ones count as this one."""
QUANTILES = (50.0, 90.0, 99.0, 99.9)
CURVE = (*range(0, 90, 2), *range(90, 100), 99.5, 99.9, 100.0)
"""Percentages at which a curve has points."""
BATCH = 4096
_BITS = 11
_HALF = 1 << (_BITS - 1)


class Latencies:
    """Durations from a microsecond to an hour."""

    def __init__(self) -> None:
        self._waiting = array("d")
        self._counts: Counts = np.zeros(int(_buckets(np.array([HOUR_US]))[0]) + 1, np.int64)
        self._sum = 0.0

    @classmethod
    def together(cls, parts: Iterable["Latencies"]) -> "Latencies":
        """Return the durations of all `parts`."""
        whole = cls()
        for part in parts:
            whole._counts += part._settled()
            whole._sum += part._sum
        return whole

    def add(self, seconds: float) -> None:
        self._waiting.append(seconds)
        if len(self._waiting) >= BATCH:
            self._settled()

    @property
    def count(self) -> int:
        return int(self._settled().sum())

    def quantile_ms(self, percent: float) -> float:
        """Return the milliseconds that `percent` of the durations do not exceed; 0 if there are none."""
        return self._quantiles([percent])[0]

    def to_json(self) -> dict[str, Any]:
        values = dict(zip(QUANTILES, self._quantiles(QUANTILES), strict=True))
        quantiles = {f"p{percent:g}_ms": value for percent, value in values.items()}
        count = self.count
        mean = 1e3 * self._sum / count if count else 0.0
        return {"count": count, "mean_ms": mean, **quantiles, "max_ms": self.quantile_ms(100.0)}

    def curve(self) -> list[tuple[float, float]]:
        """Return milliseconds with the share of durations that are no longer."""
        if not self.count:
            return []
        return [(ms, percent / 100.0) for ms, percent in zip(self._quantiles(CURVE), CURVE, strict=True)]

    def _settled(self) -> Counts:
        """Count the durations that are waiting, and return all counts."""
        if self._waiting:
            seconds = np.array(self._waiting)
            del self._waiting[:]
            self._sum += float(seconds.sum())
            micros = np.clip(np.rint(1e6 * seconds), 1, HOUR_US).astype(np.int64)
            self._counts += np.bincount(_buckets(micros), minlength=len(self._counts))
        return self._counts

    def _quantiles(self, percents: Iterable[float]) -> list[float]:
        upto = np.cumsum(self._settled())
        total = int(upto[-1])
        if not total:
            return [0.0 for _ in percents]
        ranks = [max(1, int(percent / 100.0 * total + 0.5)) for percent in percents]
        return [_longest(int(np.searchsorted(upto, rank))) / 1e3 for rank in ranks]


def _buckets(micros: Counts) -> Counts:
    """Return the number of each duration's bucket.

    A duration of more than 11 bits is shifted right until 11 are left, the uppermost of which is 1. So each further
    shift adds 1,024 buckets. Example: 3,000 µs has 12 bits; one shift leaves 1,500, so its bucket is 2,524, which is
    1,024 + 1,500.
    """
    _, length = np.frexp(micros.astype(np.float64))
    shift = np.maximum(0, length.astype(np.int64) - _BITS)
    return np.asarray(shift * _HALF + (micros >> shift))


def _longest(bucket: int) -> int:
    """Return the longest duration of a bucket, in microseconds: 3,001 for bucket 2,524, which undoes the shift."""
    shift = max(0, bucket // _HALF - 1)
    return ((bucket - shift * _HALF + 1) << shift) - 1
