"""What `help()` and editors say of a shell's methods: the call's own words and arguments, and what it returns."""

from collections.abc import Callable
from functools import update_wrapper
from inspect import signature
from typing import Any, TypeVar, get_args, get_type_hints

M = TypeVar("M", bound=Callable[..., Any])


def described(method: M, call: Callable[..., Any]) -> M:
    """Return `method` with the name, docstring and signature of the flow `call`, which returns the answer itself."""
    update_wrapper(method, call)
    *_, answer = get_args(get_type_hints(call)["return"])
    method.__signature__ = signature(call).replace(return_annotation=answer)  # type: ignore[attr-defined]
    return method
