"""Clients' reported metrics over rounds: filtered, grouped and summed up, from the records alone.

This is the metadata access pattern (P4) of FLStore (arXiv 2503.00323); quantiles interpolate linearly (Hyndman and Fan
1996, type 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import eq, ge, gt, le, lt, ne
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Le, MinLen

from flstore_core.errors import InvalidParameters, unknown
from flstore_core.workloads import (
    Context,
    Needs,
    Params,
    Partial,
    Pattern,
    RangeParams,
    Result,
    RoundIndex,
    round_range,
)
from flstore_core.workloads.shared.metric_rows import Row, Scalar, metric_names, rows_of

Aggregation = Literal["mean", "median", "min", "max", "sum", "count", "std"]

_COMPARE = {"==": eq, "!=": ne, "<": lt, "<=": le, ">": gt, ">=": ge}
_COMPUTE: dict[str, Any] = {
    "mean": np.mean,
    "median": np.median,
    "min": np.min,
    "max": np.max,
    "sum": np.sum,
    "count": np.size,
    "std": np.std,
}


@dataclass(frozen=True)
class Condition(Params):
    """What a participation must fulfil; one that lacks the metric does not, nor does one of another type."""

    metric: str
    """A metric's name, or `round` or `client`."""
    op: Literal["==", "!=", "<", "<=", ">", ">="]
    """The comparison."""
    value: str | float | bool
    """What it is compared with."""

    def holds(self, row: Row) -> bool:
        """Return whether `row` fulfils the condition."""
        found = row.value(self.metric)
        comparable = isinstance(found, str) == isinstance(self.value, str)
        return found is not None and comparable and bool(_COMPARE[self.op](found, self.value))


@dataclass(frozen=True)
class MetricsParams(RangeParams):
    """Which metrics are looked at, of whom, and how they are summed up."""

    metrics: Annotated[list[str], MinLen(1)] | None = None
    """Names of the metrics; every numeric one that occurs by default."""
    where: list[Condition] = field(default_factory=list)
    """Conditions that all must hold."""
    group_by: list[str] = field(default_factory=list)
    """`round`, `client` or metrics' names; one group over everything by default."""
    aggregations: Annotated[list[Aggregation], MinLen(1)] = field(
        default_factory=lambda: ["count", "mean", "std", "min", "median", "max"]
    )
    """What is computed of each metric; `std` is the population's."""
    quantiles: list[Annotated[float, Ge(0), Le(1)]] = field(default_factory=list)
    """Quantiles to compute too."""


@dataclass(frozen=True)
class Group(Result):
    """Participations that agree in what they are grouped by."""

    key: dict[str, str | int | float | bool | None]
    """What they agree in; null where the metric is missing."""
    participations: int
    """How many there are."""
    values: dict[str, dict[str, float]]
    """By metric: each aggregation, and each quantile as `q0.9`. A metric that nobody reported has its count alone."""


@dataclass(frozen=True)
class MetricsResult(Result):
    """Metrics summed up by group."""

    rounds: list[int]
    """The rounds looked at."""
    participations: int
    """How many fulfilled the conditions."""
    groups: list[Group]
    """The groups, in ascending order of their keys."""


class Metrics:
    """What clients reported over a range of rounds, filtered, grouped and summed up."""

    name = "metrics"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "FLStore, arXiv:2503.00323, access pattern P4; Hyndman and Fan 1996, quantiles of type 7"
    params = MetricsParams
    result = MetricsResult

    def select(self, params: MetricsParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: MetricsParams) -> MetricsResult:
        table = rows_of(data.record for data in context.rounds)
        names = _names(table, params)
        kept = [row for row in table if all(condition.holds(row) for condition in params.where)]
        groups: dict[tuple[Scalar, ...], list[Row]] = {}
        for row in kept:
            groups.setdefault(tuple(row.value(name) for name in params.group_by), []).append(row)
        return MetricsResult(
            rounds=[data.record.number for data in context.rounds],
            participations=len(kept),
            groups=[_group(key, groups[key], names, params) for key in sorted(groups, key=_order)],
        )


def _names(table: Sequence[Row], params: MetricsParams) -> list[str]:
    """Return the metrics asked for; raise `NotFound` for a name that no participation has."""
    known = metric_names(table)
    asked = [*(params.metrics or []), *params.group_by, *(condition.metric for condition in params.where)]
    for name in asked:
        if name not in known and name not in ("round", "client"):
            raise unknown("metric", name, [*known, "round", "client"])
    if params.metrics is not None:
        return list(dict.fromkeys(params.metrics))
    return [name for name in known if any(row.number(name) is not None for row in table)]


def _order(key: tuple[Scalar, ...]) -> list[tuple[int, Any]]:
    """Return what sorts keys of mixed types: missing first, then numbers, then text."""
    return [(0, 0) if part is None else (2, part) if isinstance(part, str) else (1, part) for part in key]


def _group(key: tuple[Scalar, ...], rows: Sequence[Row], names: Sequence[str], params: MetricsParams) -> Group:
    values = {name: _summed_up([row.number(name) for row in rows], name, params) for name in names}
    return Group(dict(zip(params.group_by, key, strict=True)), len(rows), values)


def _summed_up(found: Sequence[float | None], name: str, params: MetricsParams) -> dict[str, float]:
    numbers = np.array([number for number in found if number is not None])
    if not numbers.size:
        return {"count": 0}
    with np.errstate(over="ignore", invalid="ignore"):
        summed: dict[str, float] = {kind: float(_COMPUTE[kind](numbers)) for kind in params.aggregations}
    summed |= {f"q{level:g}": float(np.quantile(numbers, level)) for level in params.quantiles}
    if not np.isfinite(list(summed.values())).all():
        raise InvalidParameters(f"metric {name!r} has values too large to sum up: up to {np.abs(numbers).max():.3g}")
    return summed


MetricsOverRounds = Metrics  # the name in older installations; removed with them
