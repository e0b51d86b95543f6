"""The value types that dashboards are written with. `manifests.dashboards.grafana` turns them into Grafana's JSON."""

from dataclasses import dataclass, field
from enum import StrEnum


class Unit(StrEnum):
    """Units by Grafana's names."""

    SECONDS = "s"
    BYTES = "bytes"
    BYTES_PER_SECOND = "Bps"
    PER_SECOND = "ops"
    REQUESTS_PER_SECOND = "reqps"
    RATIO = "percentunit"
    COUNT = "short"
    DOLLARS = "currencyUSD"


class Kind(StrEnum):
    """How a panel shows its series."""

    LINES = "timeseries"
    NUMBER = "stat"
    BARS = "bargauge"


@dataclass(frozen=True, slots=True)
class Query:
    """One PromQL expression, and how its series are called in the legend.

    Of several placement controllers each shows what it knows, so theirs are combined by `max`, not by `sum`.
    """

    promql: str
    legend: str = "__auto"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Where a value turns from good to bad. `falling` means that less is worse."""

    warn: float
    bad: float
    falling: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart."""

    title: str
    description: str
    unit: Unit
    queries: tuple[Query, ...]
    threshold: Threshold | None = None
    kind: Kind = Kind.LINES
    width: int = 12
    """Of the 24 columns of a dashboard."""
    height: int = 8
    stacked: bool = False


@dataclass(frozen=True, slots=True)
class Variable:
    """A number that the viewer may change, such as a price; `$name` in queries."""

    name: str
    label: str
    value: str


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page of panels."""

    slug: str
    """File name, and part of the stable uid."""
    title: str
    description: str
    panels: tuple[Panel, ...]
    variables: tuple[Variable, ...] = ()


@dataclass(frozen=True, slots=True)
class Alert:
    """A rule: fires when `promql` has been beyond `threshold` for `minutes`."""

    name: str
    promql: str
    comparison: str
    threshold: float
    minutes: int
    summary: str
    """What is wrong, for a person, with what to do."""
    severity: str = field(default="warning")

    @property
    def expression(self) -> str:
        return f"{self.promql} {self.comparison} {self.threshold:g}"
