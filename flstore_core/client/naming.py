"""A model, in whichever form a framework holds it, as arrays by name; and whatever names a job or client, as its name.

{"w": array, …}, a torch state dict      as it is
a torch module                           its state dict
{"params": {"Dense_0": {"kernel": …}}}   params/Dense_0/kernel, as `flax.traverse_util.flatten_dict(…, sep="/")`
[array, array, …]                        by the names of the job's tensors, in the order in which it was created
"""

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any, TypeAlias, TypeGuard
from uuid import UUID

from flstore_core import ids
from flstore_core.errors import InvalidParameters

Id: TypeAlias = str | int | UUID | PurePath
"""What names a job or a client: text, or what stands for itself as text."""

SEPARATOR = "/"
"""Stands between the names of a tree's branches."""

_UPDATE = re.compile(r"([0-9]+:)(.+)", re.DOTALL)

_RULE = "pass arrays by name, a list of arrays, a torch module, or a safetensors file as bytes or by its path"


def as_text(kind: str, value: Any) -> str:
    """Return an id as text; `kind` goes into the message."""
    if isinstance(value, str | UUID | PurePath) or (_is_integer(value) and abs(operator.index(value)) < 1 << 512):
        return str(value)
    raise InvalidParameters(f"{kind} is {_describe(value)}; pass text, a whole number, a UUID or a path")


def job_name(value: Any) -> str:
    """Return the name under which the store keeps a job; see `flstore_core.ids.encode`."""
    return ids.job_id(ids.encode(as_text("job", value), "job"))


def client_name(value: Any) -> str:
    """Return the name under which the store keeps a client; see `flstore_core.ids.encode`."""
    return ids.client_id(ids.encode(as_text("client", value)))


def client_names(names: Any) -> list[str]:
    """Return the names under which the store keeps clients; raise `InvalidParameters` unless `names` are several."""
    if isinstance(names, str | bytes) or not isinstance(names, Iterable):
        raise InvalidParameters(f"{_describe(names)} are no clients; pass a list of their names")
    return [client_name(name) for name in names]


def encoded(params: Any) -> Any:
    """Return a workload's parameters with clients' names as the store keeps them."""
    if isinstance(params, Mapping):
        return {key: _ENCODERS.get(key, encoded)(value) for key, value in params.items()}
    return [encoded(value) for value in params] if is_list(params) else params


def _encoded_client(value: Any) -> Any:
    if is_list(value) or isinstance(value, set | frozenset):
        return [_encoded_client(each) for each in value]
    return value if value is None else ids.encode(as_text("client", value))


def _encoded_by_client(value: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {_encoded_client(client): encoded(each) for client, each in value.items()}


def _encoded_model(value: Any) -> Any:
    """Return models' names (`flstore_core.model_names`) with clients' names as the store keeps them."""
    if isinstance(value, str) and (found := _UPDATE.fullmatch(value)):
        return found[1] + ids.encode(found[2])
    return [_encoded_model(each) for each in value] if is_list(value) else encoded(value)


_ENCODERS: Mapping[str, Callable[[Any], Any]] = {
    "client": _encoded_client,
    "clients": _encoded_client,
    "candidates": _encoded_client,
    "factors": _encoded_by_client,
    "models": _encoded_model,
}
"""What encodes clients' names in a workload's parameter of that name."""


def as_round(value: Any) -> int:
    """Return a round's number, of whichever type of whole number."""
    if not _is_integer(value):
        raise InvalidParameters(f"round is {_describe(value)}; pass a whole number")
    return operator.index(value)


def as_base(value: Any) -> str:
    """Return what names a round's base as text: a round of whichever type of whole number, a hash, or `none`."""
    if isinstance(value, str):
        return value
    if not _is_integer(value):
        raise InvalidParameters(
            f"base is {_describe(value)}; pass the number of a round, the SHA-256 of an aggregate, or 'none'"
        )
    return str(operator.index(value))


def is_list(model: Any) -> TypeGuard[Sequence[Any]]:
    """Return whether a model is a list of arrays, which have no names of their own."""
    return isinstance(model, list | tuple)


def named(model: Any) -> dict[str, Any]:
    """Return the arrays of a model by name, in its order; those of a list are named 0, 1, 2, …

    Raises:
        InvalidParameters: if it is no model, or a name is no text or comes twice.
    """
    if callable(getattr(model, "state_dict", None)):
        model = model.state_dict()
    if not isinstance(model, Mapping) and not is_list(model):
        raise InvalidParameters(f"{_describe(model)} is no model; {_RULE}")
    arrays: dict[str, Any] = {}
    try:
        for name, array in _leaves(model, ""):
            if name in arrays:
                raise InvalidParameters(f"tensor {name!r} comes twice; give each tensor a name of its own")
            arrays[name] = array
    except RecursionError as error:
        raise InvalidParameters(f"the model contains itself; {_RULE}") from error
    return arrays


def named_as(arrays: Sequence[Any], names: Sequence[str]) -> dict[str, Any]:
    """Return a list's arrays by the names of a job's tensors; raise `InvalidParameters` if their numbers differ."""
    if len(arrays) != len(names):
        raise InvalidParameters(
            f"the list has {len(arrays)} arrays, and the job {len(names)} tensors; pass one for each, in the order in "
            "which the job was created, or pass them by name"
        )
    return dict(zip(names, arrays, strict=True))


def in_order(arrays: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Return arrays in the order of `names`; those that it does not mention come last."""
    return {name: arrays[name] for name in (*(n for n in names if n in arrays), *arrays)}


def _leaves(tree: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    items = tree.items() if isinstance(tree, Mapping) else enumerate(tree)
    for key, value in items:
        name = prefix + _part(prefix, key)
        if isinstance(value, Mapping) or (is_list(value) and any(isinstance(each, Mapping) for each in value)):
            yield from _leaves(value, name + SEPARATOR)
        else:
            yield name, value


def _part(prefix: str, key: Any) -> str:
    if isinstance(key, tuple) and key:
        return SEPARATOR.join(_part(prefix, each) for each in key)
    if isinstance(key, str) or _is_integer(key):
        return str(key)
    raise InvalidParameters(f"a tensor's name below {prefix!r} is {_describe(key)}; name tensors by text")


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool) and getattr(value, "ndim", 0) == 0


def _describe(value: Any) -> str:
    try:
        return f"{value!r:.40} ({type(value).__name__})"
    except Exception:  # of any class, and of whole numbers of thousands of digits
        return f"a value of the type {type(value).__name__}"
