"""Compares two answers to one question, models included."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

TOLERANCE = 1e-4

Model: TypeAlias = Mapping[str, NDArray[Any]]
Fetch: TypeAlias = Callable[[Mapping[str, Any]], Model]
"""Downloads the model that a link leads to."""


def differences(ours: Any, theirs: Any, fetch_ours: Fetch, fetch_theirs: Fetch, place: str = "") -> Iterator[str]:
    """Yield the places where two JSON answers differ: numbers by more than `TOLERANCE` (relative above 1).

    Other values must be equal. Links to models are followed, and the models' arrays compared as numbers are.
    """
    if _is_link(ours) and _is_link(theirs):
        yield from _models(fetch_ours(ours), fetch_theirs(theirs), place)
    elif isinstance(ours, Mapping) and isinstance(theirs, Mapping) and ours.keys() == theirs.keys():
        for name in ours:
            yield from differences(ours[name], theirs[name], fetch_ours, fetch_theirs, f"{place}.{name}".lstrip("."))
    elif isinstance(ours, list) and isinstance(theirs, list) and len(ours) == len(theirs):
        for index, (mine, other) in enumerate(zip(ours, theirs, strict=True)):
            yield from differences(mine, other, fetch_ours, fetch_theirs, f"{place}[{index}]")
    elif not _same(ours, theirs):
        yield f"{place or 'the answer'}: {ours!r:.60} against {theirs!r:.60}"


def _is_link(value: Any) -> bool:
    return isinstance(value, Mapping) and {"href", "sha256"} <= value.keys()


def _same(ours: Any, theirs: Any) -> bool:
    if _is_number(ours) and _is_number(theirs):
        return bool(abs(ours - theirs) <= TOLERANCE * max(1.0, abs(ours), abs(theirs)))
    return type(ours) is type(theirs) and bool(ours == theirs)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _models(ours: Model, theirs: Model, place: str) -> Iterator[str]:
    if ours.keys() != theirs.keys():
        yield f"{place}: tensors {sorted(ours)} against {sorted(theirs)}"
        return
    for name, array in ours.items():
        if array.shape != theirs[name].shape or not np.allclose(array, theirs[name], rtol=TOLERANCE, atol=TOLERANCE):
            yield f"{place}: tensor {name!r} differs"
