"""Give a transport's method the documentation of the API call that it runs, for `help()` and editors."""

from collections.abc import Callable
from functools import update_wrapper
from inspect import signature
from typing import Any, TypeVar, get_args, get_type_hints

M = TypeVar("M", bound=Callable[..., Any])


def document_as(method: M, call: Callable[..., Any]) -> M:
    """Give `method` the name, docstring and signature of `call`, but return `T` where `call` returns `Exchange[T]`."""
    update_wrapper(method, call)
    *_, answer = get_args(get_type_hints(call)["return"])
    method.__signature__ = signature(call).replace(return_annotation=answer)  # type: ignore[attr-defined]
    return method
