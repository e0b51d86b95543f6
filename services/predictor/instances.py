"""Bodies of the older protocol (v1), which lists examples one by one, and arrays.

    one input      {"instances": [[5.1, 3.5], [4.9, 3.0]]}
    several        {"instances": [{"tokens": [3, 7], "mask": [1, 1]}, …]}
    one output     {"predictions": [[0.9, 0.1], [0.2, 0.8]]}
    several        {"predictions": [{"output_0": [0.9, 0.1], "output_1": 3.0}, …]}

Source: https://kserve.github.io/website, "V1 Protocol", which is TensorFlow Serving's row format.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import InputSpec

Array = NDArray[Any]


def parse_instances(payload: Any, specs: Sequence[InputSpec]) -> Mapping[str, Array]:
    """Return the inputs that a body lists; raise `InvalidParameters` if it lists none, or not those of `specs`."""
    instances = payload.get("instances") if isinstance(payload, dict) else None
    if not isinstance(instances, list) or not instances:
        raise InvalidParameters('send {"instances": […]} as JSON, with one entry or more')
    if len(specs) == 1 and not isinstance(instances[0], dict):
        return {specs[0].name: _array(specs[0].name, instances)}
    names = [spec.name for spec in specs]
    for instance in instances:
        if not isinstance(instance, dict) or instance.keys() != set(names):
            raise InvalidParameters(f"an entry of instances is no object of {', '.join(names)}")
    return {name: _array(name, [instance[name] for instance in instances]) for name in names}


def predictions_of(outputs: Sequence[Array], examples: int) -> list[Any]:
    """Return what a body answers with: an entry for each example.

    Raises:
        InvalidParameters: if an output has no row for each example, as a mean over all of them.
    """
    for index, output in enumerate(outputs):
        if output.shape[:1] != (examples,):
            raise InvalidParameters(
                f"output_{index} of the program has the shape {list(output.shape)}, which is no row for each of "
                f"{examples} examples; ask by the Open Inference Protocol (v2)"
            )
    rows = [output.tolist() for output in outputs]
    if len(rows) == 1:
        return list(rows[0])
    return [{f"output_{index}": value for index, value in enumerate(row)} for row in zip(*rows, strict=True)]


def _array(name: str, rows: list[Any]) -> Array:
    try:
        array = np.asarray(rows)
    except (ValueError, OverflowError) as error:
        raise InvalidParameters(f"the entries of input {name!r} have different shapes") from error
    if array.dtype.kind not in "biuf":
        raise InvalidParameters(f"input {name!r} holds something other than numbers")
    return array
