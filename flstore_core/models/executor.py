"""Runs a program step by step over weights that are handed in: nothing is compiled, and no weight is copied.

An exported program is a list of operators without control flow, so running it means calling them in order
(`flstore_core.models.binding` shows one). Doing so ourselves, rather than through `torch.export.load`, keeps three
promises to whoever runs a stranger's program:

- only operators that the parser allowed are called, with operands that were admitted, so that none reads or writes
  beside them; and none writes to weights or inputs, which other runs share;
- memory is bounded: `Held` counts what a step needs before it is called, and after it the results that nobody reads
  any more are freed;
- time is bounded: `Running.check` may end the run between any two steps.

Example of the memory count: W x + b with a result of 4 KB, then relu with another. After linear 4 KB are held, after
relu 8 KB, and once linear's result is freed 4 KB again; a limit of 6 KB refuses relu by name. A view or an in-place
operator shares its operand's storage and counts nothing.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from flstore_core.errors import FLStoreError, InvalidProgram, RunTooLarge
from flstore_core.models.admission import Admission
from flstore_core.models.binding import Slot, Step, bind
from flstore_core.models.devices import CPU
from flstore_core.models.held import Held
from flstore_core.models.program import Operand, Program
from flstore_core.models.running import Running

Watch = Callable[[str, Tensor], None]
"""Is shown the output of every operator that counts as neurons, under its name in the program."""

_FAILURES = (RuntimeError, LookupError, ValueError, TypeError, ArithmeticError, AttributeError, AssertionError)
"""What PyTorch's operators raise for operands that do not fit."""


class Executable:
    """A program bound to PyTorch's operators. Safe to share between threads."""

    def __init__(self, program: Program, device: torch.device = CPU) -> None:
        """Bind `program` to a device; raise `InvalidProgram` for what this PyTorch cannot run."""
        self.program = program
        self.device = device
        self._binding = bind(program, device)
        self._admission = Admission(self._binding.steps)

    def run(
        self,
        weights: Mapping[str, Tensor],
        constants: Mapping[str, Tensor],
        inputs: Sequence[Tensor],
        running: Running,
        watch: Watch | None = None,
    ) -> tuple[Tensor, ...]:
        """Return the program's outputs. All tensors are on `device`.

        Args:
            weights: parameters and buffers by their names in the module. They are never written to.
            constants: constant tensors by their names in the archive.
            inputs: in the order of `program.inputs`.
            running: the run that this is part of, and its limits.

        Raises:
            InvalidProgram: if an operator fails on these inputs, or would write to weights or inputs.
            RunTooLong, RunTooLarge: past the run's limits.
        """
        values = self._initial_values(weights, constants, inputs)
        shared = frozenset(value.untyped_storage().data_ptr() for value in values if isinstance(value, Tensor))
        held = Held(running.limits.nbytes, shared)
        with torch.inference_mode():
            for step in self._binding.steps:
                running.check()
                try:
                    self._call(step, values, held, watch)
                except _FAILURES as error:
                    raise _failure(step, error) from error
                _account(step, values, held)
        return tuple(values[slot] for slot in self._binding.outputs)

    def _call(self, step: Step, values: list[Any], held: Held, watch: Watch | None) -> None:
        """Call one operator, once its operands are admitted, and store what it returns."""
        args, kwargs = _operands(step, values)
        if step.writes and held.is_shared(args[0]):
            raise ValueError("it would write to the model's weights or inputs; export the module in evaluation mode")
        held.make_room(self._admission.needed_bytes(step, args, kwargs, values), step.name)
        result = step.call(*args, **kwargs)
        if watch is not None and step.neurons:
            watch(step.neurons, result)
        _store(result, step.results, values)

    def _initial_values(
        self, weights: Mapping[str, Tensor], constants: Mapping[str, Tensor], inputs: Sequence[Tensor]
    ) -> list[Any]:
        """Return the values before the first step, by slot."""
        program, slots = self.program, self._binding.slots
        values: list[Any] = [None] * len(slots)
        for name, parameter in program.parameters.items():
            values[slots[name]] = weights[parameter]
        for name, constant in program.constants.items():
            values[slots[name]] = constants[constant]
        for name, number in program.fixed.items():
            values[slots[name]] = number
        for spec, tensor in zip(program.inputs, inputs, strict=True):
            values[slots[spec.name]] = tensor
        return values


def _operands(step: Step, values: Sequence[Any]) -> tuple[tuple[Any, ...], Mapping[str, Any]]:
    """Return a step's operands, with values in place of slots."""
    args, kwargs = step.args, step.kwargs
    if step.open_args:
        operands = list(args)
        for place in step.open_args:
            operands[place] = _filled(operands[place], values)
        args = tuple(operands)
    if step.open_kwargs:
        kwargs = {**kwargs, **{name: _filled(kwargs[name], values) for name in step.open_kwargs}}
    return args, kwargs


def _account(step: Step, values: list[Any], held: Held) -> None:
    """Count the memory of a step's results, and free the values that it read last."""
    for slot in step.makes:
        held.take(values[slot], step.name)
    for slot in step.last_uses:
        held.leave(values[slot])
        values[slot] = None


def _failure(step: Step, error: Exception) -> FLStoreError:
    reason = str(error).partition("\n")[0]
    if "allocate memory" in reason or "out of memory" in reason:
        return RunTooLarge(f"operator {step.name} asks for more memory than there is: {reason}")
    return InvalidProgram(f"operator {step.name} failed: {reason}")


def _filled(operand: Operand, values: Sequence[Any]) -> Any:
    """Return an operand with values in place of its slots."""
    if type(operand) is Slot:
        return values[operand.index]
    if type(operand) is list:
        return [_filled(part, values) for part in operand]
    return operand


def _store(result: Any, slots: Any, values: list[Any]) -> None:
    """Put a result, or each part of a nested one, into its slot."""
    if type(slots) is int:
        values[slots] = result
    elif slots:
        for part, slot in zip(result, slots, strict=True):
            _store(part, slot, values)
