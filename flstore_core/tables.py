"""A job's metadata as one table, for pandas, polars and DuckDB: a row for each update, and one for each aggregate.

Example, of one round in which a client sent its loss beside its weight:

    round  client  is_aggregate  committed  …  weight  metrics.loss  round_metrics.accuracy
        3  a       false         true       …      64           0.2                    0.93
        3  null    true          true       …    null          null                    0.93

Metrics and hyperparameters have a column each, by their names. A column of numbers is float64; flags and text are what
they are. A column that mixes them, or holds lists or objects, has the JSON of its values.

Only `to_arrow` needs pyarrow, which is imported when it is called.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from flstore_core.ids import decode
from flstore_core.records import Member, Metrics, Round

if TYPE_CHECKING:
    import pyarrow

Columns = dict[str, list[Any]]
"""Values of each column by its name, all of one length."""

FIXED = {
    "round": "int64",
    "client": "string",
    "is_aggregate": "bool",
    "committed": "bool",
    "committed_at": "timestamp",
    "base": "int64",
    "received_at": "timestamp",
    "weight": "double",
    "nbytes": "int64",
    "sha256": "string",
}
"""Types of the columns that every table has. The `client` of an aggregate is null, as is the `weight` of a client that
gave none. Timestamps are in seconds since the epoch here, and Arrow's, in UTC, in `to_arrow`."""

_MOST_EXACT = 2**53
"""Largest whole number up to which float64 has all."""


def columns(rounds: Iterable[Round]) -> Columns:
    """Return the table of some rounds, in their order; within a round by client, the aggregate last."""
    rows = [row for record in rounds for row in _rows(record)]
    names = sorted({name for row in rows for name in row if name not in FIXED})
    return {
        **{name: [row[name] for row in rows] for name in FIXED},
        **{name: _of_one_type([row.get(name) for row in rows]) for name in names},
    }


def to_arrow(table: Mapping[str, Sequence[Any]]) -> "pyarrow.Table":
    """Return what `columns` returned as an Arrow table; raise `ImportError` without pyarrow."""
    import pyarrow

    def array(name: str, values: Sequence[Any]) -> Any:
        if FIXED.get(name) != "timestamp":
            return pyarrow.array(values, pyarrow.type_for_alias(FIXED[name]) if name in FIXED else None)
        micros = [None if value is None else round(value * 1e6) for value in values]
        return pyarrow.array(micros, pyarrow.timestamp("us", tz="UTC"))

    return pyarrow.table({name: array(name, values) for name, values in table.items()})


def _rows(record: Round) -> Iterator[dict[str, Any]]:
    """Yield the rows of a round as values by column."""
    of_round = {
        "round": record.number,
        "committed": record.committed,
        "committed_at": record.committed_at,
        "base": record.base,
        **_prefixed("round_metrics", record.metrics),
        **_prefixed("hyperparameters", record.hyperparameters),
    }
    for member in record.members:
        yield of_round | _row(member) | {"client": decode(member.client), "is_aggregate": False}
    if record.aggregate:
        yield of_round | _row(record.aggregate) | {"client": None, "is_aggregate": True, "weight": None}


def _row(member: Member) -> dict[str, Any]:
    return {
        "received_at": member.received_at,
        "weight": member.weight,
        "nbytes": member.nbytes,
        "sha256": member.sha256,
        **_prefixed("metrics", member.metrics),
    }


def _prefixed(prefix: str, metrics: Metrics) -> dict[str, Any]:
    return {f"{prefix}.{name}": value for name, value in metrics.items()}


def _of_one_type(values: list[Any]) -> list[Any]:
    """Return values of one type: as they are, as floats, or as JSON if they have no type in common."""
    present = [value for value in values if value is not None]
    if all(isinstance(value, bool) for value in present) or all(isinstance(value, str) for value in present):
        return values
    if all(_is_number(value) for value in present):
        return [None if value is None else float(value) for value in values]
    return [None if value is None else json.dumps(value, ensure_ascii=False) for value in values]


def _is_number(value: Any) -> bool:
    """Return whether float64 holds a value; a count over 2⁵³ would be another number in it."""
    if isinstance(value, bool):
        return False
    return isinstance(value, float) or (isinstance(value, int) and abs(value) <= _MOST_EXACT)
