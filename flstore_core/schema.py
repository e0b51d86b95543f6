"""What every update of a job looks like: tensors, and the flat parameter vector cut out of their bytes.

The *flat parameter vector* is the concatenation of a schema's floating-point tensors in canonical order, the order in
which the safetensors library writes them: by descending dtype rank, then by name. Integer and boolean tensors (batch
counters and the like) are stored and returned, but are no part of the vector.
"""

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from flstore_core.errors import InvalidParameters, SchemaMismatch

ITEMSIZE: Mapping[str, int] = {
    "BOOL": 1,
    "U8": 1,
    "I8": 1,
    "I16": 2,
    "U16": 2,
    "F16": 2,
    "BF16": 2,
    "I32": 4,
    "U32": 4,
    "F32": 4,
    "F64": 8,
    "I64": 8,
    "U64": 8,
}
"""Bytes per element of each supported safetensors dtype, in the library's rank order."""


def hint(dtype: str) -> str:
    """Return what to send in place of a tensor of a dtype that is not supported, by its name in any library."""
    name = dtype.rpartition(".")[2].lower()
    if name.startswith(("f4", "f6", "f8", "float4", "float6", "float8")):
        return "send it as BF16 or F32"
    if name.startswith(("complex", "c64", "c128", "c8", "c16")):
        return "send its real and its imaginary part as two tensors"
    if name.startswith(("float", "longdouble")):
        return "send it as F64"
    return "send numbers of one of these"


FLOATS = frozenset({"F16", "BF16", "F32", "F64"})
_RANK = {dtype: rank for rank, dtype in enumerate(ITEMSIZE)}
_MAX_DIMENSIONS = 32
_MAX_TENSOR_BYTES = 2**48


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Name, safetensors dtype code and shape of one tensor."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in ITEMSIZE:
            raise InvalidParameters(
                f"tensor {self.name!r:.100}: dtype {self.dtype!r} is not one of {', '.join(ITEMSIZE)}; "
                f"{hint(self.dtype)}"
            )
        if len(self.shape) > _MAX_DIMENSIONS or any(not 0 <= extent <= _MAX_TENSOR_BYTES for extent in self.shape):
            raise InvalidParameters(f"tensor {self.name!r:.100}: shape {self.shape!s:.100} is not usable")
        if self.nbytes > _MAX_TENSOR_BYTES:
            raise InvalidParameters(
                f"tensor {self.name!r:.100}: shape {self.shape!s:.100} is over {_MAX_TENSOR_BYTES} bytes"
            )

    @property
    def size(self) -> int:
        """Number of elements."""
        return math.prod(self.shape)

    @property
    def nbytes(self) -> int:
        return self.size * ITEMSIZE[self.dtype]


@dataclass(frozen=True, slots=True)
class Run:
    """A stretch of the flat vector that lies unbroken, with one dtype, in a file's data section."""

    start: int
    """First element, counted in the flat vector."""
    count: int
    dtype: str
    offset: int
    """First byte, counted from the beginning of the data section."""

    @property
    def nbytes(self) -> int:
        return self.count * ITEMSIZE[self.dtype]

    def clip(self, start: int, stop: int) -> "Run | None":
        """Return the part of this run within flat elements [start, stop), or None if they do not overlap."""
        first, last = max(start, self.start), min(stop, self.start + self.count)
        if first >= last:
            return None
        return Run(first, last - first, self.dtype, self.offset + (first - self.start) * ITEMSIZE[self.dtype])


@dataclass(frozen=True, slots=True)
class Segment:
    """Where one tensor lies in the flat vector: elements [start, stop)."""

    name: str
    start: int
    stop: int


@dataclass(frozen=True)
class Schema:
    """The tensors of a job, in canonical order."""

    tensors: tuple[TensorSpec, ...]
    names: tuple[str, ...] = field(default=(), compare=False)
    """Their names in the order in which a model was given, in which people want it back."""

    @classmethod
    def of(cls, tensors: Iterable[TensorSpec]) -> "Schema":
        """Return the schema of `tensors`, given in any order; raise `InvalidParameters` on doubled names."""
        given = tuple(tensors)
        ordered = tuple(sorted(given, key=lambda t: (-_RANK[t.dtype], t.name)))
        names = Counter(t.name for t in ordered)
        if doubled := [name for name, times in names.items() if times > 1]:
            raise InvalidParameters(f"tensor names must be distinct; doubled: {doubled[:10]}")
        if "__metadata__" in names:
            raise InvalidParameters("'__metadata__' cannot be a tensor's name: safetensors reserves it")
        return cls(ordered, tuple(t.name for t in given))

    @classmethod
    def from_json(cls, rows: Iterable[Mapping[str, Any]]) -> "Schema":
        return cls.of(TensorSpec(str(r["name"]), str(r["dtype"]), tuple(int(n) for n in r["shape"])) for r in rows)

    def to_json(self) -> list[dict[str, Any]]:
        """Return name, dtype and shape of each tensor, in the order in which they were given."""
        by_name = {t.name: t for t in self.tensors}
        given = [by_name[name] for name in self.names] or self.tensors
        return [{"name": t.name, "dtype": t.dtype, "shape": list(t.shape)} for t in given]

    @cached_property
    def nbytes(self) -> int:
        """Bytes of an update's data section."""
        return sum(t.nbytes for t in self.tensors)

    @cached_property
    def parameters(self) -> int:
        """Length of the flat parameter vector, in elements."""
        return sum(t.size for t in self.tensors if t.dtype in FLOATS)

    @cached_property
    def digest(self) -> str:
        """SHA-256 of names, dtypes and shapes, in hexadecimal."""
        text = "\n".join(f"{t.name}\t{t.dtype}\t{t.shape}" for t in self.tensors)
        return hashlib.sha256(text.encode()).hexdigest()

    @cached_property
    def segments(self) -> tuple[Segment, ...]:
        """Where each floating-point tensor lies in the flat vector."""
        return tuple(Segment(t.name, start, start + t.size) for t, start, _ in self._walk() if t.dtype in FLOATS)

    @cached_property
    def _runs(self) -> tuple[Run, ...]:
        runs: list[Run] = []
        for tensor, start, offset in self._walk():
            if tensor.dtype not in FLOATS or not tensor.size:
                continue
            last = runs[-1] if runs else None
            if last and last.dtype == tensor.dtype and last.offset + last.nbytes == offset:
                runs[-1] = Run(last.start, last.count + tensor.size, last.dtype, last.offset)
            else:
                runs.append(Run(start, tensor.size, tensor.dtype, offset))
        return tuple(runs)

    def _walk(self) -> Iterator[tuple[TensorSpec, int, int]]:
        """Yield each tensor with its flat start (elements) and its byte offset in the data section."""
        start = offset = 0
        for tensor in self.tensors:
            yield tensor, start, offset
            start += tensor.size if tensor.dtype in FLOATS else 0
            offset += tensor.nbytes

    def runs(self, start: int, stop: int) -> tuple[Run, ...]:
        """Return the runs that make up flat elements [start, stop)."""
        return tuple(part for run in self._runs if (part := run.clip(start, stop)))

    @cached_property
    def outside(self) -> tuple[str, ...]:
        """Names of the tensors outside the flat vector, in the order in which they were given."""
        return tuple(row["name"] for row in self.to_json() if row["dtype"] not in FLOATS)

    def slice_bounds(self, index: int, slices: int) -> tuple[int, int]:
        """Return slice `index` of `slices`: flat elements [start, stop), sizes differing by one at the most."""
        return index * self.parameters // slices, (index + 1) * self.parameters // slices

    def slice_nbytes(self, index: int, slices: int) -> int:
        return sum(run.nbytes for run in self.runs(*self.slice_bounds(index, slices)))

    def check(self, other: "Schema") -> None:
        """Raise `SchemaMismatch` naming the first tensor in which `other` differs from this schema."""
        if other.tensors == self.tensors:
            return
        expected = {t.name: t for t in self.tensors}
        actual = {t.name: t for t in other.tensors}
        if missing := [name for name in expected if name not in actual]:
            raise SchemaMismatch(
                f"tensor {missing[0]!r} is missing ({len(missing)} missing in all)", missing=missing[:10]
            )
        if extra := [name for name in actual if name not in expected]:
            raise SchemaMismatch(
                f"tensor {extra[0]!r} is not in the schema ({len(extra)} extra in all)", extra=extra[:10]
            )
        name = next(name for name in expected if expected[name] != actual[name])
        theirs, ours = actual[name], expected[name]
        raise SchemaMismatch(
            f"tensor {name!r} is {theirs.dtype} {list(theirs.shape)}; "
            f"the schema expects {ours.dtype} {list(ours.shape)}",
            tensor=name,
        )
