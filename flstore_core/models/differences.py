"""Adds a model to a difference from it, in NumPy: a predictor's own process has no PyTorch."""

import numpy as np
from numpy.typing import NDArray

from flstore_core.flat import NUMPY_DTYPE, from_float32, widen_bfloat16
from flstore_core.schema import FLOATS, Schema

Raw = NDArray[np.uint8]
_FLOAT32_MAX = float(np.finfo(np.float32).max)
_BLOCK = 1 << 17
"""Elements added together: few enough to stay in a core's cache."""


def add_base(schema: Schema, data: Raw, base: Raw) -> None:
    """Add a model to a difference from it, in place. A float beyond its dtype's range becomes the greatest within it;
    integers wrap, as they did when a client subtracted them; booleans have no difference and stay as they are.

    Args:
        data, base: data sections, uint8, shape (schema.nbytes,).
    """
    offset = 0
    for spec in schema.tensors:
        where = slice(offset, offset + spec.nbytes)
        ours, theirs = (part[where].view(NUMPY_DTYPE[spec.dtype]) for part in (data, base))
        for start in range(0, spec.size, _BLOCK):
            _add(spec.dtype, ours[start : start + _BLOCK], theirs[start : start + _BLOCK])
        offset += spec.nbytes


def _add(dtype: str, ours: NDArray[np.generic], theirs: NDArray[np.generic]) -> None:
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype in ("F16", "BF16"):
            ours[:] = from_float32(_widened(dtype, ours) + _widened(dtype, theirs), dtype)
        elif dtype in FLOATS:
            np.add(ours, theirs, out=ours)
            np.clip(ours, -_FLOAT32_MAX, _FLOAT32_MAX, out=ours)
        elif dtype != "BOOL":
            np.add(ours, theirs, out=ours)


def _widened(dtype: str, values: NDArray[np.generic]) -> NDArray[np.float32]:
    return widen_bfloat16(values.view(np.uint16)) if dtype == "BF16" else values.astype(np.float32)
