"""The metrics that clients reported over a range of rounds: filtered, grouped and aggregated.

A *participation* is what one client reported in one round. `where` filters participations, `group_by` groups them, and
each metric is aggregated within each group, as by SQL's WHERE and GROUP BY. This is the metadata access pattern (P4) of
FLStore (arXiv 2503.00323). Quantiles interpolate linearly (Hyndman and Fan 1996, type 7).
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
    """A comparison that a participation must meet. It is not met if the metric is missing, or if one side is text and
    the other is not."""

    metric: str
    """Name of a metric, or `round` or `client`."""
    op: Literal["==", "!=", "<", "<=", ">", ">="]
    """The comparison operator."""
    value: str | float | bool
    """The value that the metric is compared with."""

    def holds(self, row: Row) -> bool:
        """Return whether `row` meets the condition."""
        reported = row.value(self.metric)
        comparable = isinstance(reported, str) == isinstance(self.value, str)
        return reported is not None and comparable and bool(_COMPARE[self.op](reported, self.value))


@dataclass(frozen=True)
class MetricsParams(RangeParams):
    """Which metrics are aggregated, over which participations, in which groups."""

    metrics: Annotated[list[str], MinLen(1)] | None = None
    """Names of the metrics; by default every metric that any client reported as a number."""
    where: list[Condition] = field(default_factory=list)
    """Conditions that a participation must all meet."""
    group_by: list[str] = field(default_factory=list)
    """`round`, `client` or names of metrics; a single group by default."""
    aggregations: Annotated[list[Aggregation], MinLen(1)] = field(
        default_factory=lambda: ["count", "mean", "std", "min", "median", "max"]
    )
    """What is computed of each metric in each group; `std` is the population standard deviation."""
    quantiles: list[Annotated[float, Ge(0), Le(1)]] = field(default_factory=list)
    """Quantiles to compute as well, each between 0 and 1; 0.5 is the median."""


@dataclass(frozen=True)
class Group(Result):
    """Participations with the same values of what they are grouped by."""

    key: dict[str, str | int | float | bool | None]
    """The values of what they are grouped by; null where a metric is missing."""
    participations: int
    """Number of participations in the group."""
    values: dict[str, dict[str, float]]
    """By metric, each aggregation by its name and each quantile by a name such as `q0.9`. A metric that nobody in the
    group reported has only `count`, which is 0."""


@dataclass(frozen=True)
class MetricsResult(Result):
    """Aggregated metrics, by group."""

    rounds: list[int]
    """The rounds that were read."""
    participations: int
    """Number of participations that met all conditions."""
    groups: list[Group]
    """The groups, in ascending order of their keys."""


class Metrics:
    """The metrics that clients reported over a range of rounds, filtered, grouped and aggregated."""

    name = "metrics"
    pattern = Pattern.P4
    needs = Needs.METADATA
    source = "FLStore, arXiv:2503.00323, access pattern P4; Hyndman and Fan 1996, quantiles of type 7"
    params = MetricsParams
    result = MetricsResult

    def select(self, params: MetricsParams, index: RoundIndex) -> Sequence[int]:
        return round_range(params, index)

    def combine(self, partials: Sequence[Partial], context: Context, params: MetricsParams) -> MetricsResult:
        everything = rows_of(data.record for data in context.rounds)
        names = _metrics(everything, params)
        rows = [row for row in everything if all(condition.holds(row) for condition in params.where)]
        groups: dict[tuple[Scalar, ...], list[Row]] = {}
        for row in rows:
            groups.setdefault(tuple(row.value(name) for name in params.group_by), []).append(row)
        return MetricsResult(
            rounds=[data.record.number for data in context.rounds],
            participations=len(rows),
            groups=[_group(key, groups[key], names, params) for key in sorted(groups, key=_order)],
        )


def _metrics(rows: Sequence[Row], params: MetricsParams) -> list[str]:
    """Return the names of the metrics to aggregate.

    Raises:
        NotFound: if the parameters name a metric that no participation has.
    """
    reported = metric_names(rows)
    for name in [*(params.metrics or []), *params.group_by, *(condition.metric for condition in params.where)]:
        if name not in reported and name not in ("round", "client"):
            raise unknown("metric", name, [*reported, "round", "client"])
    if params.metrics is not None:
        return list(dict.fromkeys(params.metrics))
    return [name for name in reported if any(row.number(name) is not None for row in rows)]


def _order(key: tuple[Scalar, ...]) -> list[tuple[int, Any]]:
    """Return a sort key for group keys of mixed types: missing values first, then numbers, then text."""
    return [(0, 0) if part is None else (2, part) if isinstance(part, str) else (1, part) for part in key]


def _group(key: tuple[Scalar, ...], rows: Sequence[Row], names: Sequence[str], params: MetricsParams) -> Group:
    values = {name: _aggregated([row.number(name) for row in rows], name, params) for name in names}
    return Group(dict(zip(params.group_by, key, strict=True)), len(rows), values)


def _aggregated(values: Sequence[float | None], name: str, params: MetricsParams) -> dict[str, float]:
    """Return the aggregations and quantiles of one metric in one group.

    Raises:
        InvalidParameters: if one of them is beyond the range of floating-point numbers.
    """
    numbers = np.array([value for value in values if value is not None])
    if not numbers.size:
        return {"count": 0}
    with np.errstate(over="ignore", invalid="ignore"):
        computed: dict[str, float] = {kind: float(_COMPUTE[kind](numbers)) for kind in params.aggregations}
        computed |= {f"q{level:g}": float(np.quantile(numbers, level)) for level in params.quantiles}
    if not np.isfinite(list(computed.values())).all():
        raise InvalidParameters(
            f"metric {name!r} reaches {np.abs(numbers).max():.3g} in size, which is too large for these aggregations; "
            f"leave such values out by a condition in where"
        )
    return computed
