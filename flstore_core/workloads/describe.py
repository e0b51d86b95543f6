"""What the gateway tells of a workload, and how values go in and out of it. The one module here that needs pydantic."""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, is_dataclass
from inspect import getdoc
from typing import Any

from pydantic import TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode

from flstore_core.errors import BrokenWorkload, InvalidParameters
from flstore_core.workloads.registry import AnyWorkload


@dataclass(frozen=True)
class Description:
    """What `GET /v1/workloads` tells of a workload."""

    name: str
    pattern: str
    needs: str
    source: str
    """The method's publication."""
    summary: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the parameters."""
    result: Mapping[str, Any] = field(default_factory=dict)
    """JSON Schema of the answer."""


def describe(workload: AnyWorkload) -> Description:
    """Return the workload's name, pattern, needs, source, the first line of its docstring, and both JSON Schemas."""
    summary = (getdoc(type(workload)) or "").partition("\n")[0]
    return Description(
        workload.name,
        workload.pattern.value,
        workload.needs.value,
        workload.source,
        summary,
        schema_of(workload.params, "validation"),
        schema_of(workload.result, "serialization"),
    )


def validate(workload: AnyWorkload, data: Mapping[str, Any]) -> Any:
    """Return the workload's parameters made from JSON values.

    Raises:
        InvalidParameters: naming every field that does not fit; the extension `errors` lists
            `{"field", "message", "input"}` of each.
    """
    try:
        return _adapter(workload.params).validate_json(json.dumps(dict(data)), strict=True)
    except ValidationError as error:
        bad = [_bad_field(entry) for entry in error.errors(include_url=False, include_context=False)]
        told = "; ".join(f"{entry['field']}: {entry['message']}" for entry in bad)
        raise InvalidParameters(f"parameters of {workload.name!r} do not fit: {told}", errors=bad) from error


def dump(result: Any) -> Any:
    """Return an answer, a dataclass, as JSON values; raise `BrokenWorkload` if a number in it is not finite."""
    value = _adapter(type(result)).dump_python(result, mode="json")
    try:
        json.dumps(value, allow_nan=False)
    except ValueError as error:
        place = next(_nonfinite(value, ""), "")
        told = f"{type(result).__name__}.{place} is a number that is not finite, which JSON cannot say"
        raise BrokenWorkload(told) from error
    return value


def schema_of(kind: type[object], mode: JsonSchemaMode) -> Mapping[str, Any]:
    """Return the JSON Schema of a dataclass, its fields described by their docstrings, inherited ones too."""
    schema = _adapter(kind).json_schema(mode=mode)
    described = _descriptions(kind)
    for name, property_ in schema.get("properties", {}).items():
        if name in described:
            property_.setdefault("description", described[name])
    return schema


def _descriptions(kind: type[object]) -> Mapping[str, str]:
    """Return the fields' docstrings along the MRO: pydantic reads only those in a class' own body."""
    described: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if is_dataclass(base):
            properties = _adapter(base).json_schema().get("properties", {})
            described |= {name: p["description"] for name, p in properties.items() if "description" in p}
    return described


_adapters: dict[type[object], TypeAdapter[Any]] = {}


def _adapter(kind: type[object]) -> TypeAdapter[Any]:
    return _adapters[kind] if kind in _adapters else _adapters.setdefault(kind, TypeAdapter(kind))


def _bad_field(error: Mapping[str, Any]) -> dict[str, Any]:
    place = ".".join(str(step) for step in error["loc"]) or "(all)"
    return {"field": place, "message": error["msg"], "input": error["input"]}


def _nonfinite(value: Any, place: str) -> Iterator[str]:
    if isinstance(value, float):
        if not math.isfinite(value):
            yield place
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _nonfinite(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _nonfinite(part, f"{place}[{position}]")
