"""Python's operators as programs may use them: on the numbers that sizes are computed with, and on nothing else."""

import operator
from collections.abc import Callable
from typing import Any

from flstore_core.models.contracts import Unfit

MOST_INTEGER = 2**63 - 1


def arithmetic_named(name: str) -> Callable[..., Any]:
    """Return the function of Python's `operator` module of that name, with its operands checked."""
    return checked_item if name == "getitem" else checked_arithmetic(getattr(operator, name))


def checked_arithmetic(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a function of numbers that refuses other operands, and results that no size can have.

    Python's operators repeat lists, fill in texts and multiply integers of any length: a few steps would take all
    memory there is.
    """

    def call(*operands: Any) -> Any:
        if not all(isinstance(operand, int | float) for operand in operands):
            raise Unfit("its operands are not numbers")
        result = function(*operands)
        if isinstance(result, int) and abs(result) > MOST_INTEGER:
            raise Unfit("its result is out of all proportion")
        return result

    return call


def checked_item(parts: Any, index: Any) -> Any:
    """Return a part of an operator's results."""
    if not isinstance(parts, list | tuple) or not isinstance(index, int):
        raise Unfit("only a part of several results can be taken")
    return parts[index]
