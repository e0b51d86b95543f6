"""What is counted while load runs: histograms by workload and pattern, and what each second was like."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hdrh.histogram import HdrHistogram  # type: ignore[import-untyped]

from flstore_core.patterns import Pattern
from loadgen.run.target import Answered

HOUR_US = 3_600_000_000
DIGITS = 3
QUANTILES = (50.0, 90.0, 99.0, 99.9)
OVERALL = "overall"


class Latencies:
    """Durations from a microsecond to an hour, three significant digits (HDR histogram)."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, HOUR_US, DIGITS)
        self._sum = 0.0
        self._count = 0

    def add(self, seconds: float) -> None:
        self._histogram.record_value(min(max(1, round(1e6 * seconds)), HOUR_US))
        self._sum += seconds
        self._count += 1

    @property
    def count(self) -> int:
        return self._count

    def quantile_ms(self, percent: float) -> float:
        return float(self._histogram.get_value_at_percentile(percent)) / 1e3 if self._count else 0.0

    def to_json(self) -> dict[str, Any]:
        quantiles = {f"p{percent:g}_ms": self.quantile_ms(percent) for percent in QUANTILES}
        mean = 1e3 * self._sum / self._count if self._count else 0.0
        return {"count": self._count, "mean_ms": mean, **quantiles, "max_ms": self.quantile_ms(100.0)}

    def curve(self) -> list[tuple[float, float]]:
        """Return milliseconds with the share of durations that are no longer."""
        if not self._count:
            return []
        found = self._histogram.get_percentile_to_value_dict(_CURVE)
        return [(found[percent] / 1e3, percent / 100.0) for percent in _CURVE]


_CURVE = (*range(0, 90, 2), *range(90, 100), 99.5, 99.9, 100.0)


@dataclass(slots=True)
class Second:
    """What one second of a run was like."""

    requests: int = 0
    errors: int = 0
    hits: int = 0
    """Requests that found everything in memory."""
    dollars: float = 0.0
    awake: int | None = None
    """Shards, where it was looked."""


@dataclass
class Tally:
    """Everything counted in a run."""

    by_workload: dict[tuple[str, Pattern], Latencies] = field(default_factory=lambda: defaultdict(Latencies))
    by_pattern: dict[Pattern, Latencies] = field(default_factory=lambda: defaultdict(Latencies))
    overall: Latencies = field(default_factory=Latencies)
    uploads: Latencies = field(default_factory=Latencies)
    commits: Latencies = field(default_factory=Latencies)
    lag: Latencies = field(default_factory=Latencies)
    """From when something was due to when it was sent: the generator's own error."""
    errors: Counter[str] = field(default_factory=Counter)
    """By code of the error."""
    seconds: dict[int, Second] = field(default_factory=lambda: defaultdict(Second))
    hits: Counter[Pattern] = field(default_factory=Counter)
    asked: int = 0
    answered: int = 0
    postponed: int = 0
    """Requests that were due before what they ask about was committed; they count from the commit."""
    warming: int = 0
    """Requests that belong to the warm-up and are counted nowhere else."""
    dollars: float = 0.0
    uploaded_bytes: int = 0

    def answer(self, workload: str, pattern: Pattern, seconds: float, at: float, answered: Answered) -> None:
        """Count an answer that took `seconds`, `at` so many seconds into the run."""
        self.answered += 1
        self.by_workload[workload, pattern].add(seconds)
        self.by_pattern[pattern].add(seconds)
        self.overall.add(seconds)
        hit = answered.misses == 0
        self.hits[pattern] += hit
        self.dollars += answered.dollars
        second = self.seconds[int(at)]
        second.requests += 1
        second.hits += hit
        second.dollars += answered.dollars

    def error(self, code: str, at: float) -> None:
        self.errors[code] += 1
        self.seconds[int(at)].errors += 1

    @property
    def failed(self) -> int:
        return sum(self.errors.values())

    @property
    def hit_rate(self) -> float:
        return sum(self.hits.values()) / self.answered if self.answered else 0.0

    def named(self) -> Iterator[tuple[str, Latencies]]:
        """Yield histograms by name: overall, each pattern, each workload."""
        yield OVERALL, self.overall
        for pattern in sorted(self.by_pattern):
            yield pattern.value, self.by_pattern[pattern]
        for workload, pattern in sorted(self.by_workload):
            yield f"{workload} ({pattern.value})", self.by_workload[workload, pattern]
