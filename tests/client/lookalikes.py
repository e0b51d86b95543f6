"""Arrays that do what those of libraries do which are not installed here, as far as the client asks."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

uint16 = "mlx.core.uint16"
"""MLX names its dtypes in the module that its arrays are of."""


@dataclass(frozen=True)
class MlxArray:
    """MLX's bfloat16: NumPy cannot read its buffer, and can read that of its bits."""

    bits: NDArray[np.uint16]
    dtype: str = "mlx.core.bfloat16"

    @property
    def shape(self) -> tuple[int, ...]:
        return self.bits.shape

    def view(self, dtype: str) -> NDArray[np.uint16]:
        assert dtype == uint16
        return self.bits

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise RuntimeError("Item size 2 for PEP 3118 buffer format string B does not match the dtype B item size 1.")


@dataclass(frozen=True)
class JaxArray:
    """An array of jax: has `__array__`, a dtype and a shape."""

    values: NDArray[Any]

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.values.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return self.values.shape

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        return self.values


@dataclass(frozen=True)
class DlpackArray:
    """An array that has `__dlpack__` and nothing else."""

    values: NDArray[Any]

    def __dlpack__(self, **options: Any) -> Any:
        return self.values.__dlpack__(**options)

    def __dlpack_device__(self) -> Any:
        return self.values.__dlpack_device__()


@dataclass(frozen=True)
class ShapeDtypeStruct:
    """jax's description of an array that does not exist yet."""

    shape: tuple[int, ...]
    dtype: Any


@dataclass(frozen=True)
class CupyArray:
    """An array of a GPU, which is not copied unless somebody says so."""

    __cuda_array_interface__: Mapping[str, Any]

    def __array__(self, dtype: Any = None, copy: Any = None) -> NDArray[Any]:
        raise TypeError("Implicit conversion to a NumPy array is not allowed.")


class FrozenDict(Mapping[str, Any]):
    """flax's: a mapping that is no dict."""

    def __init__(self, **branches: Any) -> None:
        self._branches = branches

    def __getitem__(self, name: str) -> Any:
        return self._branches[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._branches)

    def __len__(self) -> int:
        return len(self._branches)
