"""Every kind of record and message, found by looking through all modules, and instances of each."""

import importlib
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import MISSING, Field, fields, is_dataclass
from functools import cache
from inspect import signature
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

from hypothesis import strategies as st

import flstore_core
import services
from flstore_core.formats import Record
from flstore_core.schema import Schema, TensorSpec
from flstore_core.shard.protocol import SliceRef

OPTIONAL = {"kserve", "torch"}
"""Packages without which some modules cannot be imported; these hold no records."""

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.integers(0, 2**31 - 1) | st.floats(allow_nan=False, allow_infinity=False)
json_values = st.recursive(
    st.none() | st.booleans() | numbers | texts,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(texts, inner, max_size=2),
    max_leaves=4,
)
unknown_fields = st.dictionaries(texts.map("x-".__add__), json_values, min_size=1, max_size=2)
"""Fields that a later version may have added."""
schemas = st.lists(st.integers(1, 9), min_size=1, max_size=3).map(
    lambda sizes: Schema.of(TensorSpec(f"t{i}", "F32", (size,)) for i, size in enumerate(sizes))
)

slices = st.builds(SliceRef, texts, texts, st.just(9), st.integers(0, 8))


@cache
def classes() -> tuple[type, ...]:
    """Return every class of the core and the services that writes itself as JSON and reads itself from it."""
    found = {
        value
        for module in _modules()
        for value in vars(module).values()
        if isinstance(value, type) and value.__module__ == module.__name__ and is_dataclass(value)
        if hasattr(value, "to_json") and hasattr(value, "from_json")
    }
    return tuple(sorted(found, key=lambda kind: kind.__qualname__))


def records() -> list[type[Record]]:
    """Return every class of stored records; each is a `Record`."""
    return [kind for kind in classes() if issubclass(kind, Record)]


def messages() -> list[type]:
    """Return every class of messages between services."""
    return [kind for kind in classes() if not issubclass(kind, Record) and "protocol" in kind.__module__]


def stands_alone(kind: type) -> bool:
    """Say whether a class reads itself from its JSON alone; the row of a shard, for one, does not have its name."""
    return len(signature(kind.from_json).parameters) == 1  # type: ignore[attr-defined]


def instances(kind: type, unknown: bool = False) -> st.SearchStrategy[Any]:
    """Return a strategy for instances of a dataclass; with `unknown`, each record in them has unknown fields."""
    hints = get_type_hints(kind)
    values = {}
    for each in fields(kind):
        if each.name == "unknown":
            values["unknown"] = unknown_fields if unknown else st.just({})
        elif _is_required(each) or (holds_dataclass(hints[each.name]) and kind not in get_args(hints[each.name])):
            values[each.name] = _values(hints[each.name], unknown)
    return st.builds(kind, **values)


def with_fields(hint: Any, data: Any, added: Mapping[str, Any]) -> Any:
    """Return JSON of a type with fields added to every object in it that stands for a dataclass."""
    if isinstance(data, dict) and is_dataclass(hint):
        names: Mapping[str, str] = getattr(hint, "NAMES", {})
        hints = {names.get(name, name): each for name, each in get_type_hints(hint).items()}
        return {name: with_fields(hints.get(name), value, added) for name, value in data.items()} | dict(added)
    inner = [each for each in get_args(hint) if holds_dataclass(each)]
    if not inner or data is None:
        return data
    if isinstance(data, dict) and get_origin(hint) is not Union and not isinstance(hint, UnionType):
        return {name: with_fields(inner[0], value, added) for name, value in data.items()}
    if isinstance(data, list):
        return [with_fields(inner[0], value, added) for value in data]
    return with_fields(inner[0], data, added)


def holds_dataclass(hint: Any) -> bool:
    """Say whether a type is a dataclass, or has one in it."""
    return is_dataclass(hint) or any(holds_dataclass(each) for each in get_args(hint))


def _modules() -> Iterator[Any]:
    for package in (flstore_core, services):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                try:
                    yield importlib.import_module(module.name)
                except ModuleNotFoundError as error:
                    if error.name not in OPTIONAL:
                        raise


def _is_required(each: Field[Any]) -> bool:
    return each.default is MISSING and each.default_factory is MISSING


def _values(hint: Any, unknown: bool) -> st.SearchStrategy[Any]:
    origin, args = get_origin(hint), get_args(hint)
    if hint is Any:
        return json_values
    if hint is float:
        return st.floats(allow_nan=False, allow_infinity=False)
    if hint in (Schema, SliceRef):
        return schemas if hint is Schema else slices
    if is_dataclass(hint):
        assert isinstance(hint, type)
        return instances(hint, unknown)
    if origin in (Union, UnionType):
        return st.one_of([_values(each, unknown) for each in args])
    if origin is tuple and args[1:] == (...,):
        return st.lists(_values(args[0], unknown), max_size=3).map(tuple)
    if origin is not None and issubclass(origin, Mapping):
        items = st.lists(_values(args[1], unknown), max_size=3)
        return st.tuples(st.lists(_values(args[0], unknown), max_size=3, unique=True), items).map(_by_id)
    if origin is Sequence:
        return st.lists(_values(args[0], unknown), max_size=3)
    return st.from_type(hint)


def _by_id(drawn: tuple[list[Any], list[Any]]) -> dict[Any, Any]:
    """Return a mapping of names to values; values that have an id stand under it."""
    return {getattr(value, "id", name): value for name, value in zip(*drawn, strict=False)}
