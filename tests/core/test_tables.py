"""A job's metadata as one table: its rows, its columns, and the type of each column."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pyarrow
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.ids import AGGREGATE, ClientId, encode
from flstore_core.records import Member, Round
from flstore_core.tables import FIXED, columns, to_arrow

MEMBER = Member(ClientId("a"), "0" * 64, 100, 8, {"num_examples": 64, "loss": 0.5}, 12.5, "u1")
OTHER = replace(MEMBER, client=ClientId(encode("Hospital B")), metrics={"loss": 1}, received_at=13.0)
ROUND = Round(
    3, 2, (MEMBER, OTHER), replace(MEMBER, client=AGGREGATE, metrics={}), {"accuracy": 0.9}, {"lr": 0.1}, 20.0
)


def test_a_round_has_a_row_for_each_update_and_one_for_its_aggregate() -> None:
    table = columns([ROUND])
    assert table["client"] == ["a", "Hospital B", None]
    assert table["is_aggregate"] == [False, False, True]
    assert table["weight"] == [64.0, None, None], "nobody is said to have a weight that gave none"
    assert table["metrics.loss"] == [0.5, 1.0, None]
    assert table["round_metrics.accuracy"] == [0.9] * 3
    assert table["hyperparameters.lr"] == [0.1] * 3
    assert list(table)[: len(FIXED)] == list(FIXED)


def test_open_rounds_are_told_from_committed_ones() -> None:
    table = columns([ROUND, replace(ROUND, number=4, base=None, aggregate=None, committed_at=None)])
    assert table["round"] == [3, 3, 3, 4, 4]
    assert table["committed"] == [True, True, True, False, False]
    assert table["committed_at"][-1] is None


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([1, 2.5, None], [1.0, 2.5, None]),
        ([True, False, None], [True, False, None]),
        (["x", None, "y"], ["x", None, "y"]),
        ([1, "x", True], ["1", '"x"', "true"]),
        ([[1], {"a": "ä"}, None], ["[1]", '{"a": "ä"}', None]),
        ([2**53, 1, 1], [2.0**53, 1.0, 1.0]),
        ([2**53 + 1, 1, 1], [str(2**53 + 1), "1", "1"]),
        ([10**400, 1, 1], ["1" + "0" * 400, "1", "1"]),
        ([True, 1, 0.5], ["true", "1", "0.5"]),
    ],
)
def test_a_column_has_one_type(values: list[Any], expected: list[Any]) -> None:
    members = tuple(
        replace(MEMBER, client=ClientId(f"c{index}"), metrics={} if value is None else {"m": value})
        for index, value in enumerate(values)
    )
    table = columns([replace(ROUND, members=members, aggregate=None)])
    assert table["metrics.m"] == expected
    assert to_arrow(table)["metrics.m"].to_pylist() == expected


def test_arrow_has_the_types_that_are_promised() -> None:
    table = to_arrow(columns([ROUND]))
    types = {name: str(table.schema.field(name).type) for name in FIXED}
    assert types == {**FIXED, "committed_at": "timestamp[us, tz=UTC]", "received_at": "timestamp[us, tz=UTC]"}
    assert table["received_at"].to_pylist()[0] == datetime.fromtimestamp(12.5, UTC)


def test_a_job_without_rounds_has_an_empty_table() -> None:
    table = to_arrow(columns([]))
    assert (table.num_rows, table.column_names) == (0, list(FIXED))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(st.lists(st.dictionaries(st.text(max_size=5), JSON, max_size=4), max_size=4))
def test_any_metrics_make_a_table(metrics: list[dict[str, Any]]) -> None:
    members = tuple(replace(MEMBER, client=ClientId(f"c{i}"), metrics=each) for i, each in enumerate(metrics))
    table = to_arrow(columns([replace(ROUND, members=members)]))
    assert table.num_rows == len(metrics) + 1
    assert all(isinstance(column, pyarrow.ChunkedArray) for column in table.columns)
