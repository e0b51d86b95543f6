"""Admits a step's operands before its operator is called, and remembers what it has admitted.

Admitting takes longer than a small operator does, so it is done once for operands of the same shapes, strides and
dtypes: ten models of one program, or a hundred equal batches, are rehearsed once. Only operators whose result depends
on values are looked at again each time.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor
from torch._ops import OpOverload

from flstore_core.models.binding import Step
from flstore_core.models.rehearsal import by_values, depends_on_values, needed_bytes

REMEMBERED = 64
"""Kinds of operands that are remembered for a step; past that all are forgotten."""


class Admission:
    """Checks the operands of a program's steps. Safe to share between threads."""

    def __init__(self, steps: Sequence[Step]) -> None:
        self._known: Mapping[int, dict[Any, int]] = {id(step): {} for step in steps}

    def needed_bytes(self, step: Step, args: Sequence[Any], kwargs: Mapping[str, Any], values: Sequence[Any]) -> int:
        """Return the memory that a call will allocate.

        Args:
            args, kwargs: the operands, with values in place of slots.
            values: by slot; `step.reads` says which of them the operands are.

        Raises:
            Unfit: if the operands break what the operator takes on trust.
            Exception: what the operator raises for operands of such shapes and dtypes.
        """
        function = step.call
        if not isinstance(function, OpOverload) or step.name.startswith("aten.sym_"):
            return 0
        if depends_on_values(step.name):
            call = by_values(function, args, kwargs)
            return needed_bytes(*call) if call else 0
        known, kind = self._known[id(step)], tuple([_kind(values[slot]) for slot in step.reads])
        needed = known.get(kind)
        if needed is None:
            needed = needed_bytes(function, args, kwargs)
            if len(known) >= REMEMBERED:
                known.clear()
            known[kind] = needed
        return needed


def _kind(value: Any) -> Any:
    """Return all that a rehearsal sees of a value."""
    if isinstance(value, Tensor):
        return value.shape, value.stride(), value.dtype
    if isinstance(value, list | tuple):
        return tuple(_kind(each) for each in value)
    return type(value), value
