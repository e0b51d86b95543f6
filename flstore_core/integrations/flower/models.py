"""Records and parameters of Flower as arrays by name.

An `Array` of Flower holds a file of NumPy's format as bytes. The arrays made here are views of these bytes, so that a
model which waits to be stored takes no memory of its own. bfloat16, which the format cannot name, becomes float32.
"""

import io
from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, MetricRecord
from flwr.common import Parameters, parameters_to_ndarrays
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]


def model_of(records: Mapping[str, ArrayRecord]) -> Arrays:
    """Return the arrays of a message's records by name; if there are several, with the record's name before."""
    if len(records) == 1:
        (record,) = records.values()
        return {name: array_of(array) for name, array in record.items()}
    return {f"{key}/{name}": array_of(array) for key, record in records.items() for name, array in record.items()}


def array_of(array: Any) -> NDArray[Any]:
    """Return what an `Array` of Flower holds, as a view of its bytes."""
    if array.stype != "numpy.ndarray":
        raise TypeError(f"an array is kept as {array.stype!r}; only 'numpy.ndarray' can be read")
    file = io.BytesIO(array.data)
    version = np.lib.format.read_magic(file)
    read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, in_columns, dtype = read_header(file)
    if dtype.hasobject:
        raise TypeError("an array holds objects; only numbers can be read")
    flat = np.frombuffer(array.data, dtype, offset=file.tell())
    if array.dtype == "bfloat16":
        flat = (flat.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
    return flat.reshape(shape, order="F" if in_columns else "C")


def model_in(parameters: Parameters) -> Arrays:
    """Return parameters of the older strategies, which have no names, as `0`, `1`, …"""
    return {str(index): array for index, array in enumerate(parameters_to_ndarrays(parameters))}


def plain(*records: MetricRecord | ConfigRecord | Mapping[str, Any] | None) -> dict[str, Any]:
    """Return the numbers, texts and lists of records; bytes are left out."""
    return {name: value for record in records for name, value in (record or {}).items() if not isinstance(value, bytes)}


def record_of(arrays: Mapping[str, NDArray[Any]]) -> ArrayRecord:
    """Return arrays by name as a record of Flower."""
    return ArrayRecord({name: Array(np.asarray(array)) for name, array in arrays.items()})


def lazy_record(names: Sequence[str], load: Callable[[], Arrays]) -> ArrayRecord:
    """Return a record whose arrays are loaded when the first of them is asked for; its names are known before."""
    record = ArrayRecord()
    record.__dict__["_data"] = _Lazy(names, load)
    return record


class _Lazy(MutableMapping[str, Array]):
    """What a record of Flower keeps its arrays in, filled when it is read."""

    def __init__(self, names: Sequence[str], load: Callable[[], Arrays]) -> None:
        self._names = dict.fromkeys(names)
        self._load = load
        self._loaded: dict[str, Array] | None = None

    def __getitem__(self, name: str) -> Array:
        return self._all()[name]

    def __setitem__(self, name: str, array: Array) -> None:
        self._all()[name] = array

    def __delitem__(self, name: str) -> None:
        del self._all()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._names if self._loaded is None else self._loaded)

    def __len__(self) -> int:
        return len(self._names if self._loaded is None else self._loaded)

    def __contains__(self, name: object) -> bool:
        return name in (self._names if self._loaded is None else self._loaded)

    def copy(self) -> dict[str, Array]:
        return dict(self._all())

    def _all(self) -> dict[str, Array]:
        if self._loaded is None:
            arrays = self._load()
            self._loaded = {name: Array(np.asarray(arrays[name])) for name in self._names}
        return self._loaded
