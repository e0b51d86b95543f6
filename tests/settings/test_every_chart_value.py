"""A value of the chart does what its line says: each one is set, and something in the rendered objects changes by it.

Who adds a value adds a row; without one the test of that value fails. What becomes of the variables that the chart
sets is the matter of `test_every_setting`.
"""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import pytest
import yaml

from manifests import chart
from tests.settings.rows_chart import BACKENDS, CONSOLE, GATEWAY, KSERVE, OBJECT_STORE, OBSERVABILITY, SHARED, Value

ROWS: Mapping[str, Value] = {**SHARED, **GATEWAY, **BACKENDS, **OBJECT_STORE, **OBSERVABILITY, **KSERVE, **CONSOLE}
ASKS_THE_CLUSTER = {"knative.check"}
"""Without a cluster that lacks Knative, nothing comes of it."""


def paths(values: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    """Yield the path of every value; an empty mapping is one too."""
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from paths(value, f"{prefix}{name}.")
        else:
            yield prefix + name


def nested(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return values by paths as the chart takes them."""
    whole: dict[str, Any] = {}
    for path, value in values.items():
        *folders, name = path.split(".")
        here = whole
        for folder in folders:
            here = here.setdefault(folder, {})
        here[name] = value
    return whole


DOCUMENTED = frozenset(paths(yaml.safe_load((chart.CHART / "values.yaml").read_text())))


@pytest.mark.parametrize("path", sorted(DOCUMENTED - ASKS_THE_CLUSTER))
def test_a_value_does_what_its_line_says(path: str) -> None:
    row = ROWS[path]
    assert row.look(chart.render(nested({**row.beside, path: row.value}))) == row.expected
    assert _seen_without(row) != row.expected, "it is the same without the value"


def test_no_row_is_of_a_value_that_is_none() -> None:
    assert ROWS.keys() == DOCUMENTED - ASKS_THE_CLUSTER


def _seen_without(row: Value) -> object:
    """Return what is seen without the value; the chart may refuse to do without."""
    try:
        return row.look(_rendered(tuple(row.beside.items())))
    except chart.ChartError:
        return "refused"


@cache
def _rendered(beside: tuple[tuple[str, Any], ...]) -> list[dict[str, Any]]:
    return chart.render(nested(dict(beside)))
