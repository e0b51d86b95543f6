"""Runs a program, operator by operator, over weights that are handed in: nothing is compiled, nothing is copied."""

import operator
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from flstore_core.errors import FLStoreError, InvalidProgram, RunTooLarge
from flstore_core.models.operators import NEURONS
from flstore_core.models.program import Node, Operand, Program, Ref, TorchValue
from flstore_core.models.running import Held, Running

TORCH_DTYPES: Mapping[str, torch.dtype] = {
    "BOOL": torch.bool,
    "U8": torch.uint8,
    "I8": torch.int8,
    "I16": torch.int16,
    "I32": torch.int32,
    "I64": torch.int64,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "F32": torch.float32,
    "F64": torch.float64,
}
"""PyTorch's dtypes by safetensors code."""

_SCALAR_TYPES: Mapping[int, torch.dtype] = {
    **dict(enumerate((torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64), start=1)),
    **dict(enumerate((torch.float16, torch.float32, torch.float64, torch.complex32), start=6)),
    **dict(enumerate((torch.complex64, torch.complex128, torch.bool, torch.bfloat16), start=10)),
}
_MEMORY_FORMATS: Mapping[int, torch.memory_format] = {
    1: torch.contiguous_format,
    2: torch.channels_last,
    3: torch.channels_last_3d,
    4: torch.preserve_format,
}

Watch = Callable[[str, Tensor], None]
"""Is shown the output of every operator that counts as neurons, under its name in the program."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """Stands for an earlier result among an operator's operands."""

    index: int


@dataclass(frozen=True, slots=True)
class _Step:
    """One operator, ready to be called."""

    name: str
    call: Callable[..., Any]
    args: tuple[Operand, ...]
    kwargs: Mapping[str, Operand]
    open_args: tuple[int, ...]
    """Positions of the operands that contain a `_Slot`."""
    open_kwargs: tuple[str, ...]
    results: Any
    """Slots, in lists nested as the results come; None for what nobody reads."""
    makes: tuple[int, ...]
    """The same slots, in a row."""
    last_uses: tuple[int, ...]
    """Slots that are not read afterwards: their memory can go."""
    writes: bool
    """Whether the first operand is written to in place."""
    neurons: str
    """Name under which the result counts as neurons; empty where it does not."""


class Executable:
    """A program bound to PyTorch's operators. Safe to share between threads.

    Raises:
        InvalidProgram: for an operator or overload that this PyTorch lacks, or a value that nobody makes.
    """

    def __init__(self, program: Program) -> None:
        self.program = program
        given = (*program.parameters, *program.constants, *program.fixed, *(each.name for each in program.inputs))
        self._slots = {name: slot for slot, name in enumerate(dict.fromkeys(given))}
        self._steps = tuple(
            self._bind(node, last_uses) for node, last_uses in zip(program.nodes, _last_uses(program), strict=True)
        )
        self._outputs = tuple(self._slot(name) for name in program.outputs)

    def run(
        self,
        weights: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        inputs: Sequence[Tensor],
        running: Running,
        watch: Watch | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the program's outputs.

        Args:
            weights: parameters and buffers by their names in the module. They are never written to.
            constants: constant tensors by their names in the archive.
            inputs: in the order of `program.inputs`.
            running: the run that this is part of, and its limits.

        Raises:
            InvalidProgram: if an operator fails on these inputs, or would write to weights or inputs.
            RunTooLong, RunTooLarge: past the run's limits.
        """
        values = self._given(weights, constants, inputs)
        kept = frozenset(value.untyped_storage().data_ptr() for value in values if isinstance(value, Tensor))
        held = Held(running.limits.nbytes, kept)
        with torch.inference_mode():
            for step in self._steps:
                running.check()
                try:
                    _take(step, values, kept, watch)
                except _FAILURES as error:
                    raise _failure(step, error) from error
                for slot in step.makes:
                    held.take(values[slot], step.name)
                for slot in step.last_uses:
                    held.leave(values[slot])
                    values[slot] = None
        return tuple(values[slot] for slot in self._outputs)

    def _given(
        self, weights: Mapping[str, Tensor], constants: Mapping[str, Tensor], inputs: Sequence[Tensor]
    ) -> list[Any]:
        """Return the values before the first operator, by slot."""
        program, slots = self.program, self._slots
        values: list[Any] = [None] * len(slots)
        for name, parameter in program.parameters.items():
            values[slots[name]] = weights[parameter]
        for name, constant in program.constants.items():
            values[slots[name]] = constants[constant]
        for name, number in program.fixed.items():
            values[slots[name]] = number
        for given, tensor in zip(program.inputs, inputs, strict=True):
            values[slots[given.name]] = tensor
        return values

    def _bind(self, node: Node, last_uses: Collection[str]) -> _Step:
        args = tuple(self._operand(arg) for arg in node.args)
        kwargs = {name: self._operand(arg) for name, arg in node.kwargs.items()}
        kind = node.operator.split(".")[1]
        results = self._result(node.results)
        return _Step(
            name=node.operator,
            call=_callable(node.operator),
            args=args,
            kwargs=kwargs,
            open_args=tuple(place for place, arg in enumerate(args) if _is_open(arg)),
            open_kwargs=tuple(name for name, arg in kwargs.items() if _is_open(arg)),
            results=results[0] if len(results) == 1 else results,
            makes=tuple(self._slot(name) for name in _names(node.results)),
            last_uses=tuple(self._slot(name) for name in last_uses),
            writes=kind.endswith("_") and node.operator.startswith("aten."),
            neurons=str(node.results[0]) if kind in NEURONS else "",
        )

    def _operand(self, operand: Operand) -> Operand:
        match operand:
            case Ref(name):
                return _Slot(self._slot(name))
            case TorchValue():
                return _torch_value(operand)
            case list():
                return [self._operand(part) for part in operand]
        return operand

    def _result(self, names: Any) -> Any:
        if isinstance(names, list):
            return [self._result(name) for name in names]
        return None if names is None else self._slots.setdefault(names, len(self._slots))

    def _slot(self, name: str) -> int:
        try:
            return self._slots[name]
        except KeyError:
            raise InvalidProgram(f"the program reads {name!r:.80}, which nothing before has made") from None


_FAILURES = (RuntimeError, IndexError, ValueError, TypeError, ArithmeticError, AttributeError)
"""What PyTorch's operators raise for operands that do not fit."""


def _take(step: _Step, values: list[Any], kept: Collection[int], watch: Watch | None) -> None:
    """Call one operator and store what it returns."""
    args, kwargs = step.args, step.kwargs
    if step.open_args:
        filled = list(args)
        for place in step.open_args:
            filled[place] = _filled(filled[place], values)
        args = tuple(filled)
    if step.open_kwargs:
        kwargs = {**kwargs, **{name: _filled(kwargs[name], values) for name in step.open_kwargs}}
    if step.writes and args[0].untyped_storage().data_ptr() in kept:
        raise ValueError("it would write to the model's weights or inputs; export the module in evaluation mode")
    result = step.call(*args, **kwargs)
    if watch is not None and step.neurons:
        watch(step.neurons, result)
    _store(result, step.results, values)


def _failure(step: _Step, error: Exception) -> FLStoreError:
    told = str(error).partition("\n")[0]
    if "allocate memory" in told:
        return RunTooLarge(f"operator {step.name} asks for more memory than there is: {told}")
    return InvalidProgram(f"operator {step.name} failed: {told}")


def _filled(operand: Operand, values: list[Any]) -> Any:
    if type(operand) is _Slot:
        return values[operand.index]
    if type(operand) is list:
        return [_filled(part, values) for part in operand]
    return operand


def _store(result: Any, slots: Any, values: list[Any]) -> None:
    if type(slots) is int:
        values[slots] = result
    elif slots:
        for part, slot in zip(result, slots, strict=True):
            _store(part, slot, values)


def _is_open(operand: Operand) -> bool:
    return isinstance(operand, _Slot) or (isinstance(operand, list) and any(_is_open(part) for part in operand))


def _last_uses(program: Program) -> list[list[str]]:
    """Return, for each operator, the results that no later one and no output reads."""
    made = {name for node in program.nodes for name in _names(node.results)}
    seen = set(program.outputs)
    uses: list[list[str]] = []
    for node in reversed(program.nodes):
        read = {name for operand in (*node.args, *node.kwargs.values()) for name in _refs(operand)}
        ended = (read | set(_names(node.results))) & made - seen
        uses.append(sorted(ended))
        seen |= ended
    return uses[::-1]


def _refs(operand: Operand) -> Iterator[str]:
    if isinstance(operand, Ref):
        yield operand.name
    elif isinstance(operand, list):
        for part in operand:
            yield from _refs(part)


def _names(results: Any) -> Iterator[str]:
    for part in results:
        if isinstance(part, list):
            yield from _names(part)
        elif part is not None:
            yield part


def _callable(name: str) -> Callable[..., Any]:
    """Return the operator, of which the program's parser has seen that it is an allowed one."""
    namespace, kind, *overload = name.split(".")
    if namespace == "_operator":
        found: Callable[..., Any] = getattr(operator, kind)
        return found
    try:
        found = getattr(getattr(torch.ops.aten, kind), overload[0])
    except AttributeError:
        raise InvalidProgram(f"PyTorch {torch.__version__} has no operator {name!r:.80}") from None
    return found


def _torch_value(value: TorchValue) -> Any:
    try:
        match value.kind:
            case "as_scalar_type":
                return _SCALAR_TYPES[value.code]
            case "as_memory_format":
                return _MEMORY_FORMATS[value.code]
            case "as_layout" if value.code == _STRIDED:
                return torch.strided
            case "as_device":
                return torch.device("cpu")
    except KeyError:
        pass
    raise InvalidProgram(f"operand {value.kind} {value.code} is not one that programs may use")


_STRIDED = 7
