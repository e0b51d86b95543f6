"""Bodies of the older protocol: examples one by one."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import InputSpec
from services.predictor.instances import parse_instances, predictions_of

ONE = [InputSpec("images", np.dtype(np.float32), (None, 2))]
TWO = [InputSpec("tokens", np.dtype(np.int64), (None, 2)), InputSpec("weight", np.dtype(np.float32), (None,))]


@pytest.mark.parametrize("instances", [[[1, 2.5], [3, 4]], [{"images": [1, 2.5]}, {"images": [3, 4]}]])
def test_one_input_is_listed_bare_or_by_its_name(instances: list[Any]) -> None:
    arrays = parse_instances({"instances": instances, "signature_name": "ignored"}, ONE)
    assert arrays["images"].tolist() == [[1.0, 2.5], [3.0, 4.0]]


def test_several_inputs_are_listed_by_their_names() -> None:
    arrays = parse_instances({"instances": [{"weight": 0.5, "tokens": [1, 2]}, {"tokens": [3, 4], "weight": 1}]}, TWO)
    assert list(arrays) == ["tokens", "weight"]
    assert (arrays["tokens"].tolist(), arrays["weight"].tolist()) == ([[1, 2], [3, 4]], [0.5, 1.0])


@pytest.mark.parametrize(
    ("payload", "specs"),
    [
        (b"text", ONE),
        ({}, ONE),
        ([[1, 2]], ONE),
        ({"instances": []}, ONE),
        ({"instances": {"images": [[1, 2]]}}, ONE),
        ({"instances": [[1, 2], [3]]}, ONE),
        ({"instances": [["a", "b"]]}, ONE),
        ({"instances": [[None, 1]]}, ONE),
        ({"instances": [[1, 2**70]]}, ONE),
        ({"instances": [{"pictures": [1, 2]}]}, ONE),
        ({"instances": [{"images": [1, 2]}, [3, 4]]}, ONE),
        ({"instances": [[1, 2]]}, TWO),
        ({"instances": [{"tokens": [1, 2]}]}, TWO),
        ({"instances": [{"tokens": [1, 2], "weight": 1, "more": 2}]}, TWO),
    ],
)
def test_what_lists_no_examples_of_the_program_is_refused(payload: Any, specs: list[InputSpec]) -> None:
    with pytest.raises(InvalidParameters):
        parse_instances(payload, specs)


def test_one_output_is_listed_bare_and_several_by_their_names() -> None:
    scores, certain = np.array([[0.5, 0.25], [1.0, 0.0]], np.float32), np.array([True, False])
    assert predictions_of([scores], 2) == [[0.5, 0.25], [1.0, 0.0]]
    assert predictions_of([scores, certain], 2) == [
        {"output_0": [0.5, 0.25], "output_1": True},
        {"output_0": [1.0, 0.0], "output_1": False},
    ]


@pytest.mark.parametrize("output", [np.array(0.5), np.ones(3), np.ones((1, 2)), np.ones((0, 2))])
@pytest.mark.parametrize("others", [[], [np.ones(2)]])
def test_outputs_without_a_row_for_each_example_are_told(output: NDArray[Any], others: list[NDArray[Any]]) -> None:
    with pytest.raises(InvalidParameters, match=f"output_{len(others)} of the program has the shape"):
        predictions_of([*others, output], 2)
