"""Models and metrics as the store takes them, of what frameworks hand over."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from flstore_core.client.plain import to_json
from flstore_core.errors import InvalidParameters
from flstore_core.flat import NUMPY_DTYPE
from flstore_core.records import WEIGHT_NAMES
from flstore_core.schema import Schema


def fitted(model: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return a model's NumPy arrays in the dtypes of a job.

    Averages of frameworks change them: the mean of BatchNorm's integer counters is a float, a median may be float64.
    Whole numbers are rounded to. What is no NumPy array, or has no place in the schema, stays as it is.
    """
    dtypes = {spec.name: NUMPY_DTYPE[spec.dtype] for spec in schema.tensors if spec.dtype != "BF16"}
    return {name: _cast(array, dtypes.get(name)) for name, array in model.items()}


def _cast(array: Any, dtype: np.dtype[Any] | None) -> Any:
    if dtype is None or not isinstance(array, np.ndarray | np.generic) or array.dtype == dtype:
        return array
    if array.dtype.kind not in "fiub" or (
        array.dtype.kind == "f" and dtype.kind in "iu" and not np.isfinite(array).all()
    ):
        return array
    return (np.rint(array) if dtype.kind in "iu" else np.asarray(array)).astype(dtype)


def weighted(metrics: Mapping[str, Any], weight: float | None) -> Mapping[str, Any]:
    """Return metrics with the weight of their client, under the name that the store knows.

    Another number of that name, as of a strategy that does not weigh by examples, is kept as `examples`.
    """
    if weight is None:
        return metrics
    others = {name: value for name, value in metrics.items() if name not in WEIGHT_NAMES}
    examples = [metrics[name] for name in WEIGHT_NAMES if name in metrics and metrics[name] != weight]
    return {**({"examples": examples[0]} if examples else {}), **others, WEIGHT_NAMES[0]: weight}


def plain_metrics(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return metrics as JSON values, and the names of those that are none, such as NaN, which are left out."""
    plain, left_out = {}, []
    for name, value in metrics.items():
        try:
            plain[str(name)] = json.loads(to_json(value, "metrics"))
        except InvalidParameters:
            left_out.append(str(name))
    return plain, left_out
