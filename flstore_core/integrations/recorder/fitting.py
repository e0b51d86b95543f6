"""Models and metrics as the store takes them, of what frameworks hand over."""

import json
import sys
from collections.abc import Mapping
from typing import Any

import numpy as np

from flstore_core.client.plain import to_json
from flstore_core.errors import InvalidParameters
from flstore_core.flat import NUMPY_DTYPE
from flstore_core.integrations.recorder.ranks import padded
from flstore_core.records import WEIGHT_NAMES
from flstore_core.schema import Schema, TensorSpec


def fitted(model: Mapping[str, Any], schema: Schema) -> dict[str, Any]:
    """Return a model's NumPy arrays and torch tensors in the dtypes of a job, and its LoRA adapters in the job's rank.

    Averages of frameworks change dtypes: the mean of BatchNorm's integer counters is a float, a median may be float64.
    Whole numbers are rounded to. What is neither, or has no place in the schema, stays as it is.
    """
    specs = {spec.name: spec for spec in schema.tensors}
    return {name: _fit(array, specs[name]) if name in specs else array for name, array in model.items()}


def _fit(array: Any, spec: TensorSpec) -> Any:
    if isinstance(array, np.ndarray | np.generic):
        return padded(spec.name, _cast(array, spec.dtype), spec.shape)
    if (torch := sys.modules.get("torch")) and isinstance(array, torch.Tensor):
        return padded(spec.name, _cast_tensor(array, spec.dtype), spec.shape)
    return array


def _cast(array: Any, code: str) -> Any:
    if code == "BF16":  # NumPy has no such dtype; whoever trains in it has torch, or sends it as it is
        torch = sys.modules.get("torch")
        return torch.tensor(array, dtype=torch.bfloat16) if torch and array.dtype.kind == "f" else array
    dtype = NUMPY_DTYPE[code]
    if array.dtype == dtype or array.dtype.kind not in "fiub":
        return array
    if array.dtype.kind == "f" and dtype.kind in "iu":
        return np.rint(array).astype(dtype) if np.isfinite(array).all() else array
    return np.asarray(array).astype(dtype)


def _cast_tensor(tensor: Any, code: str) -> Any:
    dtype = getattr(sys.modules["torch"], "bfloat16" if code == "BF16" else NUMPY_DTYPE[code].name)
    if tensor.dtype == dtype or tensor.is_complex():
        return tensor
    if tensor.is_floating_point() and not dtype.is_floating_point:
        return tensor.round().to(dtype) if tensor.isfinite().all() else tensor
    return tensor.to(dtype)


def weighted(metrics: Mapping[str, Any], weight: float | None, key: str | None = None) -> Mapping[str, Any]:
    """Return metrics with the weight of their client, under the name that the job has for it.

    Another number of that name, as of a strategy that does not weigh by examples, is kept as `examples`, or with
    `reported_` before the job's name.

    Args:
        key: the job's `weight_key`; None if it has none.
    """
    if weight is None:
        return metrics
    names, other = ((key,), f"reported_{key}") if key else (WEIGHT_NAMES, "examples")
    others = {name: value for name, value in metrics.items() if name not in names}
    reported = [metrics[name] for name in names if name in metrics and metrics[name] != weight]
    return {**({other: reported[0]} if reported else {}), **others, names[0]: weight}


def plain_metrics(metrics: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """Return metrics as JSON values, and the names of those that are none, such as NaN, which are left out."""
    plain, left_out = {}, []
    for name, value in metrics.items():
        try:
            plain[str(name)] = json.loads(to_json(value, "metrics"))
        except InvalidParameters:
            left_out.append(str(name))
    return plain, left_out
