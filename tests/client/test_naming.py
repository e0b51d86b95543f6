"""Models in the forms in which frameworks hold them, and clients' names in questions."""

from collections import OrderedDict
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import torch

from flstore_core.client.naming import client_names, encoded, in_order, named
from flstore_core.errors import InvalidParameters

ONE, TWO = np.ones(2, np.float32), np.full(2, 2.0, np.float32)


@pytest.mark.parametrize(
    ("model", "names"),
    [
        ({"b": ONE, "a": TWO}, ["b", "a"]),
        (OrderedDict(b=ONE, a=TWO), ["b", "a"]),
        (MappingProxyType({"b": ONE}), ["b"]),
        ([ONE, TWO], ["0", "1"]),
        ((ONE, TWO), ["0", "1"]),
        (torch.nn.Linear(1, 1), ["weight", "bias"]),
        (torch.nn.Linear(1, 1).state_dict(), ["weight", "bias"]),
        ({"params": {"Dense_0": {"kernel": ONE, "bias": TWO}}}, ["params/Dense_0/kernel", "params/Dense_0/bias"]),
        ({"layers": [{"w": ONE}, {"w": TWO}]}, ["layers/0/w", "layers/1/w"]),
        ({("params", "kernel"): ONE}, ["params/kernel"]),
        ({0: ONE, np.int64(1): TWO}, ["0", "1"]),
        ({"w": [1.0, 2.0]}, ["w"]),
        ({}, []),
    ],
)
def test_a_models_arrays_have_names_and_keep_their_order(model: Any, names: list[str]) -> None:
    assert list(named(model)) == names


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (None, r"None \(NoneType\) is no model; pass arrays by name"),
        (ONE, r"ndarray\) is no model"),
        (torch.ones(2), r"Tensor\) is no model"),
        ({"a": {1.5: ONE}}, r"a tensor's name below 'a/' is 1\.5 \(float\); name tensors by text"),
        ({None: ONE}, r"a tensor's name below '' is None"),
        ({"a": {"b": ONE}, "a/b": TWO}, "tensor 'a/b' comes twice"),
        ({"0": ONE, 0: TWO}, "tensor '0' comes twice"),
    ],
)
def test_what_is_no_model_is_described(model: Any, message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        named(model)


def test_a_model_that_contains_itself_has_no_end() -> None:
    tree: dict[str, Any] = {}
    tree["again"] = tree
    with pytest.raises(InvalidParameters, match="contains itself"):
        named(tree)


def test_arrays_come_in_the_order_of_the_names_and_others_after_them() -> None:
    assert list(in_order({"a": 1, "b": 2, "c": 3}, ["c", "gone", "a"])) == ["c", "a", "b"]


def test_clients_in_questions_are_named_as_the_store_keeps_them() -> None:
    params = {
        "client": "Hospital A",
        "clients": ["c1", 7, "a b"],
        "candidates": ("a b",),
        "models": ["3", "3:a b", "artifact:x", {"round": 3, "client": "a b"}],
        "metric": "a b",
        "round": None,
        "nested": {"client": "aggregate", "clients": None},
    }
    assert encoded(params) == {
        "client": "x--Hospital_20A",
        "clients": ["c1", "7", "x--a_20b"],
        "candidates": ["x--a_20b"],
        "models": ["3", "3:x--a_20b", "artifact:x", {"round": 3, "client": "x--a_20b"}],
        "metric": "a b",
        "round": None,
        "nested": {"client": "aggregate", "clients": None},
    }


@pytest.mark.parametrize("participants", ["c1", b"c1", 3])
def test_participants_are_several(participants: Any) -> None:
    assert client_names(["c1", "a b"]) == ["c1", "x--a_20b"]
    with pytest.raises(InvalidParameters, match="are no clients; pass a list"):
        client_names(participants)
