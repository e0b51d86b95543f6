"""What counts as the same answer."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from loadgen.demo.agreement import Model, differences

LINK = {"href": "a", "sha256": "0", "nbytes": 1, "parameters": 2}


def model(*values: float) -> Model:
    return {"w": np.array(values)}


def found(ours: Any, theirs: Any, mine: Model | None = None, other: Model | None = None) -> list[str]:
    def fetch_ours(_: Mapping[str, Any]) -> Model:
        return mine or {}

    def fetch_theirs(_: Mapping[str, Any]) -> Model:
        return other or {}

    return list(differences(ours, theirs, fetch_ours, fetch_theirs))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({"a": [1.0, {"b": "x"}]}, {"a": [1.00009, {"b": "x"}]}),
        (1, 1.0),
        (1e6, 1e6 + 90),
        (None, None),
        ([], []),
    ],
)
def test_what_is_within_the_tolerance_agrees(ours: Any, theirs: Any) -> None:
    assert found(ours, theirs) == []


@pytest.mark.parametrize(
    ("ours", "theirs", "place"),
    [
        ({"a": [1.0, 2.0]}, {"a": [1.0, 2.001]}, "a[1]"),
        ({"a": 1}, {"b": 1}, "the answer"),
        ([1], [1, 2], "the answer"),
        ("x", "y", "the answer"),
        (True, 1, "the answer"),
        (None, 0.0, "the answer"),
        (float("nan"), 1.0, "the answer"),
    ],
)
def test_what_differs_is_named(ours: Any, theirs: Any, place: str) -> None:
    (line,) = found(ours, theirs)
    assert line.startswith(place)


def test_models_behind_links_are_compared_instead_of_their_hashes() -> None:
    other = LINK | {"href": "b", "sha256": "1"}
    assert found({"m": LINK}, {"m": other}, model(1, 2), model(1, 2.00001)) == []
    assert found({"m": LINK}, {"m": other}, model(1, 2), model(1, 2.1)) == ["m: tensor 'w' differs"]
    assert "tensors" in found({"m": LINK}, {"m": other}, model(1), {"v": np.ones(1)})[0]
    assert found({"m": LINK}, {"m": other}, model(1, 2), model(1)) == ["m: tensor 'w' differs"]
