"""Binds a program to PyTorch's operators once, so that running it is a plain loop over steps.

Every value of the program, by name, gets a *slot*, a place in one list. A step knows the function to call, the slots
that its operands come from and its results go to, and the slots that nobody reads afterwards.

Example: y = relu(W x + b), which `torch.export` writes as two operators.

    slots   0: W    1: b    2: x    3: linear    4: relu

    step                    operands            makes   frees after it
    aten.linear.default     [2], [0], [1]       3
    aten.relu.default       [3]                 4       3

With W = [[1, 0], [0, −1]], b = (0, 1) and x = (2, 3) slot 3 holds (2, −2) until slot 4 holds (2, 0), the output. Slots
of weights and inputs are never freed: they belong to the caller. `tests/models/test_binding.py` runs this example.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch

from flstore_core.errors import InvalidProgram
from flstore_core.models.devices import CPU
from flstore_core.models.operators import NEURONS
from flstore_core.models.program import Node, Operand, Program, Ref, TorchValue
from flstore_core.models.torch_values import makes_tensors, operator_named, torch_value


@dataclass(frozen=True, slots=True)
class Slot:
    """Stands for an earlier value among an operator's operands."""

    index: int


@dataclass(frozen=True, slots=True)
class Step:
    """One operator, ready to be called."""

    name: str
    call: Callable[..., Any]
    args: tuple[Operand, ...]
    kwargs: Mapping[str, Operand]
    open_args: tuple[int, ...]
    """Positions of the operands that contain a `Slot`."""
    open_kwargs: tuple[str, ...]
    reads: tuple[int, ...]
    """The slots among the operands, in a row."""
    results: Any
    """Slots, in lists nested as the results come; None for what nobody reads."""
    makes: tuple[int, ...]
    """The same slots, in a row."""
    last_uses: tuple[int, ...]
    """Slots that are not read afterwards: their memory can be freed."""
    writes: bool
    """Whether the first operand is written to in place."""
    neurons: str
    """Name under which the result counts as neurons; empty if it does not count."""


@dataclass(frozen=True, slots=True)
class Binding:
    """A program as steps over slots."""

    slots: Mapping[str, int]
    """Slot of each value, by its name in the program."""
    steps: tuple[Step, ...]
    outputs: tuple[int, ...]


def bind(program: Program, device: torch.device = CPU) -> Binding:
    """Return `program` bound to this process's PyTorch, and to a device.

    Raises:
        InvalidProgram: for an operator or overload that this PyTorch lacks, or a value that is read before it is made.
    """
    return _Binder(program, device).binding()


class _Binder:
    def __init__(self, program: Program, device: torch.device) -> None:
        self._program = program
        self._device = device
        callers = (*program.parameters, *program.constants, *program.fixed, *(each.name for each in program.inputs))
        self._slots = {name: slot for slot, name in enumerate(dict.fromkeys(callers))}

    def binding(self) -> Binding:
        last_uses = _last_uses(self._program)
        steps = tuple(self._step(node, names) for node, names in zip(self._program.nodes, last_uses, strict=True))
        return Binding(self._slots, steps, tuple(self._slot(name) for name in self._program.outputs))

    def _step(self, node: Node, last_uses: Collection[str]) -> Step:
        args = tuple(self._operand(arg) for arg in node.args)
        kwargs = {name: self._operand(arg) for name, arg in node.kwargs.items()}
        call = operator_named(node.operator)
        if self._device != CPU and makes_tensors(call):
            kwargs["device"] = self._device
        kind = node.operator.split(".")[1]
        results = self._result(node.results)
        return Step(
            name=node.operator,
            call=call,
            args=args,
            kwargs=kwargs,
            open_args=tuple(place for place, arg in enumerate(args) if _is_open(arg)),
            open_kwargs=tuple(name for name, arg in kwargs.items() if _is_open(arg)),
            reads=tuple(_slots((args, *kwargs.values()))),
            results=results[0] if len(results) == 1 else results,
            makes=tuple(self._slot(name) for name in _names(node.results)),
            last_uses=tuple(self._slot(name) for name in last_uses),
            writes=kind.endswith("_") and node.operator.startswith("aten."),
            neurons=str(node.results[0]) if kind in NEURONS else "",
        )

    def _operand(self, operand: Operand) -> Operand:
        match operand:
            case Ref(name):
                return Slot(self._slot(name))
            case TorchValue():
                return torch_value(operand, self._device)
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
            raise InvalidProgram(f"the program reads {name!r:.80} before any operator has made it") from None


def _slots(operands: Any) -> Iterator[int]:
    for operand in operands:
        if isinstance(operand, Slot):
            yield operand.index
        elif isinstance(operand, list | tuple):
            yield from _slots(operand)


def _is_open(operand: Operand) -> bool:
    return isinstance(operand, Slot) or (isinstance(operand, list) and any(_is_open(part) for part in operand))


def _last_uses(program: Program) -> list[list[str]]:
    """Return, for each operator, the results that no later operator and no output reads."""
    made = {name for node in program.nodes for name in _names(node.results)}
    read_later = set(program.outputs)
    uses: list[list[str]] = []
    for node in reversed(program.nodes):
        read = {name for operand in (*node.args, *node.kwargs.values()) for name in _refs(operand)}
        ended = (read | set(_names(node.results))) & made - read_later
        uses.append(sorted(ended))
        read_later |= ended
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
