"""Which of a job's stored tensors each parameter of a program takes: matched by name, checked before anything runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from flstore_core.errors import InvalidProgram, SchemaMismatch
from flstore_core.models.archive import Archive, RawTensor
from flstore_core.models.program import Program
from flstore_core.schema import FLOATS, Schema, TensorSpec

if TYPE_CHECKING:
    from torch import Tensor

LORA_A, LORA_B = ".lora_A.weight", ".lora_B.weight"
"""Ends of the names under which PEFT saves an adapter's two factors."""
PEFT_PREFIX = "base_model.model."


@dataclass(frozen=True)
class Sources:
    """Where each of a program's parameters comes from."""

    stored: Mapping[str, str]
    """Parameter → tensor of the job's models."""
    frozen: Mapping[str, RawTensor]
    """Parameters that come with the program, the same for all models."""
    adapted: Mapping[str, tuple[str, str]]
    """Parameter → the job's tensors that are its low-rank adapter's factors (A, B)."""

    def weights(self, stored: Mapping[str, Tensor], frozen: Mapping[str, Tensor], scale: float) -> dict[str, Tensor]:
        """Return all parameters for one model; only adapted ones are new memory: W + scale · B A."""
        merged = {name: frozen[name] + scale * (stored[b] @ stored[a]) for name, (a, b) in self.adapted.items()}
        return {**frozen, **{name: stored[tensor] for name, tensor in self.stored.items()}, **merged}


def sources(program: Program, archive: Archive, schema: Schema) -> Sources:
    """Match a program's parameters with a job's tensors, by name.

    Parameters that the job does not store come from the archive.

    Raises:
        SchemaMismatch: if shapes or dtypes differ, or the job stores tensors that the program does not know.
        InvalidProgram: if a parameter is in neither.
    """
    specs = {spec.name: spec for spec in schema.tensors}
    parameters = set(program.parameters.values())
    stored = {name: tensor for name in parameters if (tensor := _stored_name(name, specs, archive))}
    for name, tensor in stored.items():
        _check(name, archive, specs[tensor].shape, specs[tensor].dtype)
    adapted = _adapters(parameters - stored.keys(), schema)
    frozen: dict[str, RawTensor] = {}
    for name in parameters - stored.keys():
        if name not in archive.weights:
            raise InvalidProgram(f"parameter {name!r} is neither in the job's schema nor in the archive")
        frozen[name] = archive.weights[name]
    for name, factors in adapted.items():
        _check_adapter(name, frozen[name], *(specs[factor].shape for factor in factors))
    used = {*stored.values(), *(factor for pair in adapted.values() for factor in pair)}
    if unknown := [spec.name for spec in schema.tensors if spec.name not in used and spec.dtype in FLOATS]:
        raise SchemaMismatch(
            f"the job stores {unknown[0]!r}, for which the program has no parameter ({len(unknown)} such tensors); "
            "export the module whose state_dict the clients send",
            extra=unknown[:10],
        )
    return Sources(stored, frozen, adapted)


def _stored_name(name: str, specs: Mapping[str, TensorSpec], archive: Archive) -> str | None:
    """Return the job's tensor for a parameter: the one of its name, or of another that shares its memory (tied)."""
    if name in specs:
        return name
    exported = archive.weights.get(name)
    if exported is None:
        return None
    tied = (
        other for other, raw in archive.weights.items() if raw.file == exported.file and raw.offset == exported.offset
    )
    return next((other for other in tied if other in specs), None)


def _check(name: str, archive: Archive, shape: tuple[int, ...], dtype: str) -> None:
    exported = archive.weights.get(name)
    if exported is not None and (exported.shape, exported.dtype) != (shape, dtype):
        raise SchemaMismatch(
            f"parameter {name!r} is {exported.dtype} {list(exported.shape)} in the program; "
            f"the job's schema has {dtype} {list(shape)}",
            tensor=name,
        )


def _check_adapter(name: str, weight: RawTensor, a: tuple[int, ...], b: tuple[int, ...]) -> None:
    """Raise unless B A has the weight's shape, and the archive holds as many numbers: their sum is new memory."""
    if len(a) != 2 or len(b) != 2 or a[0] != b[1] or (b[0], a[1]) != weight.shape:
        raise SchemaMismatch(
            f"parameter {name!r} is {list(weight.shape)} in the program; the job's adapter is {list(b)} by {list(a)}",
            tensor=name,
        )
    last = sum((size - 1) * stride for size, stride in zip(weight.shape, weight.strides, strict=True))
    if math.prod(weight.shape) > 1 + last:
        raise InvalidProgram(f"parameter {name!r} repeats elements of its file; save a copy of it")


def _adapters(parameters: set[str], schema: Schema) -> dict[str, tuple[str, str]]:
    """Return the parameters for which the job stores a LoRA pair (Hu et al. 2022), as PEFT names them."""
    names = {spec.name for spec in schema.tensors}
    pairs: dict[str, tuple[str, str]] = {}
    for factor_a in (name for name in names if name.endswith(LORA_A)):
        stem = factor_a.removesuffix(LORA_A)
        target, factor_b = stem.removeprefix(PEFT_PREFIX) + ".weight", stem + LORA_B
        if target in parameters and factor_b in names:
            pairs[target] = (factor_a, factor_b)
    return pairs
