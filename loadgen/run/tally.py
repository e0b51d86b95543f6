"""Counts of a run: histograms by workload and pattern, and totals of each second."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, field

from flstore_core.patterns import Pattern
from loadgen.run.latencies import Latencies
from loadgen.run.target import Answered

OVERALL = "overall"


@dataclass(slots=True)
class Second:
    """Totals of one second of a run."""

    requests: int = 0
    errors: int = 0
    hits: int = 0
    """Requests whose data were all in memory."""
    dollars: float = 0.0
    awake: int | None = None
    """Awake shards; None if they were not counted in this second."""


@dataclass
class Tally:
    """Everything counted in a run."""

    by_workload: dict[tuple[str, Pattern], Latencies] = field(default_factory=lambda: defaultdict(Latencies))
    uploads: Latencies = field(default_factory=Latencies)
    commits: Latencies = field(default_factory=Latencies)
    lag: Latencies = field(default_factory=Latencies)
    """Time from when an event was due until it was sent: the generator's own error."""
    errors: Counter[str] = field(default_factory=Counter)
    """By code of the error."""
    seconds: dict[int, Second] = field(default_factory=lambda: defaultdict(Second))
    hits: Counter[Pattern] = field(default_factory=Counter)
    asked: int = 0
    answered: int = 0
    postponed: int = 0
    """Requests that were due before the rounds they read were committed; their latency counts from the commit."""
    warming: int = 0
    """Requests of the warm-up, which are counted nowhere else."""
    dollars: float = 0.0
    uploaded_bytes: int = 0

    def answer(self, workload: str, pattern: Pattern, seconds: float, at: float, answered: Answered) -> None:
        """Count an answer that took `seconds`, received `at` seconds after the run began."""
        self.answered += 1
        self.by_workload[workload, pattern].add(seconds)
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

    @property
    def by_pattern(self) -> dict[Pattern, Latencies]:
        """Histograms of the patterns that were asked for, in order."""
        parts: dict[Pattern, list[Latencies]] = defaultdict(list)
        for (_, pattern), latencies in self.by_workload.items():
            parts[pattern].append(latencies)
        return {pattern: Latencies.together(parts[pattern]) for pattern in sorted(parts)}

    def named(self) -> Iterator[tuple[str, Latencies]]:
        """Yield histograms by name: overall, each pattern, each workload."""
        yield OVERALL, Latencies.together(self.by_workload.values())
        for pattern, latencies in self.by_pattern.items():
            yield pattern.value, latencies
        for workload, pattern in sorted(self.by_workload):
            yield f"{workload} ({pattern.value})", self.by_workload[workload, pattern]
