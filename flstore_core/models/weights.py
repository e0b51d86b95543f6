"""Weights as tensors that are views into one flat buffer, and weighted sums of them."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from flstore_core.errors import InvalidProgram
from flstore_core.models.archive import RawTensor
from flstore_core.models.devices import CPU, place
from flstore_core.models.torch_values import TORCH_DTYPES
from flstore_core.schema import Schema

_ALIGNMENT = 16
"""Bytes. PyTorch aligns what it allocates, and its kernels may rely on that; `torch.export.save` aligns entries too."""


def views(schema: Schema, data: NDArray[np.uint8], device: torch.device = CPU) -> dict[str, Tensor]:
    """Return a model's tensors by name.

    Args:
        data: the data section of its file, shape (schema.nbytes,). All tensors share its storage, or that of its one
            copy on another device.
    """
    flat = place(_shared(data), device)
    tensors: dict[str, Tensor] = {}
    offset = 0
    for spec in schema.tensors:
        piece = flat[offset : offset + spec.nbytes]
        tensors[spec.name] = piece.view(_dtype(spec.dtype)).view(spec.shape)
        offset += spec.nbytes
    return tensors


def strided(raw: RawTensor) -> Tensor:
    """Return an archive's tensor, whose extent was checked when the archive was read. Aligned bytes are not copied."""
    if not len(raw.data):
        return torch.zeros(raw.shape, dtype=_dtype(raw.dtype))
    dtype = _dtype(raw.dtype)
    whole = np.frombuffer(raw.data, np.uint8)
    if whole.ctypes.data % _ALIGNMENT:
        whole = whole.copy()
    usable = len(whole) // dtype.itemsize * dtype.itemsize
    return _shared(whole[:usable]).view(dtype).as_strided(raw.shape, raw.strides, raw.offset)


def mixture(schema: Schema, models: Sequence[tuple[float, NDArray[np.uint8]]]) -> NDArray[np.uint8]:
    """Return the data section of the weighted sum of models; integer tensors are those of the first.

    Args:
        models: at least one pair of weight and data section, uint8, shape (schema.nbytes,).
    """
    data = models[0][1].copy()
    for run in schema.runs(0, schema.parameters):
        where = slice(run.offset, run.offset + run.nbytes)
        total = torch.zeros(run.count, dtype=torch.float64 if run.dtype == "F64" else torch.float32)
        for weight, raw in models:
            total.add_(_shared(raw[where]).view(_dtype(run.dtype)), alpha=weight)
        torch.from_numpy(data[where]).view(_dtype(run.dtype)).copy_(total)
    return data


def _dtype(code: str) -> torch.dtype:
    try:
        return TORCH_DTYPES[code]
    except KeyError:
        raise InvalidProgram(f"dtype {code} is not one that PyTorch computes with") from None


def _shared(data: NDArray[Any]) -> Tensor:
    """Return a tensor over the same memory, which may be such that can only be read: no program writes to weights."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "The given NumPy array is not writable")
        return torch.from_numpy(data)
