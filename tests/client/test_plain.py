"""Metrics and parameters as JSON, whatever they are made of."""

import json
from decimal import Decimal
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.client import Fields
from flstore_core.client.plain import to_json
from flstore_core.errors import InvalidParameters

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text(max_size=5), JSON, max_size=4))
def test_json_stays_as_it_is(value: dict[str, Any]) -> None:
    assert json.loads(to_json(value, "metrics")) == value


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.int64(4), 4),
        (np.bool_(True), True),
        (np.arange(3), [0, 1, 2]),
        (torch.tensor(0.5, requires_grad=True), 0.5),
        (torch.ones(2, dtype=torch.bfloat16), [1.0, 1.0]),
        ((1, (2,)), [1, [2]]),
        (MappingProxyType({"a": Fields({"b": 1})}), {"a": {"b": 1}}),
        ({0: 0.5, np.int64(1): 0.25}, {"0": 0.5, "1": 0.25}),
        (2**200, 2**200),
    ],
)
def test_values_of_libraries_become_plain(value: Any, plain: Any) -> None:
    assert json.loads(to_json({"x": value}, "metrics")) == {"x": plain}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (float("nan"), r"metrics\['x'\] is nan; only finite numbers"),
        ([0.5, np.float32("inf")], r"metrics\['x'\]\[1\] is inf"),
        (object(), r"metrics\['x'\] is <object .*\(object\), no JSON value"),
        (b"text", r"metrics\['x'\] is b'text' \(bytes\)"),
        ({1, 2}, r"\(set\)"),
        (Decimal("0.5"), r"\(Decimal\)"),
        (np.datetime64("2026-01-01"), r"\(date\)"),
        ({(0, 1): 0.5}, r"metrics\['x'\] has the key \(0, 1\) \(tuple\); use text"),
        ({None: 1}, r"the key None"),
        ({True: 1}, r"the key True"),
        ({0: 1, "0": 2}, r"has the key '0' twice"),
        (torch.ones(1, device="meta"), r"metrics\['x'\] is a Tensor without values"),
    ],
)
def test_what_is_no_json_is_named_by_its_place(value: Any, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        to_json({"x": value}, "metrics")


def test_a_number_of_thousands_of_digits_is_none_to_json() -> None:
    with pytest.raises(InvalidParameters, match="metrics cannot be written as JSON"):
        to_json({"x": 10**5000}, "metrics")
    with pytest.raises(InvalidParameters, match="has a key of thousands of digits"):
        to_json({10**5000: 1}, "metrics")


def test_a_value_that_contains_itself_has_no_end() -> None:
    value: list[Any] = []
    value.append(value)
    with pytest.raises(InvalidParameters, match="contains itself"):
        to_json(value, "params")
