"""Descriptions of workloads with their JSON Schemas; parameters from JSON values, and answers to JSON values.

Needs no server. This is the one module here that imports pydantic.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, is_dataclass
from inspect import getdoc
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.json_schema import JsonSchemaMode

from flstore_core.errors import BrokenWorkload, InvalidParameters
from flstore_core.records import Updates
from flstore_core.workloads import Context, Needs, Partial, reads_vectors, registry, wants_statistics
from flstore_core.workloads.registry import AnyWorkload

TENSORS_LEFT_OUT = "tensors_left_out"
"""Field of answers that are of flat vectors: names of the tensors that had no part in it."""

WITHOUT_BASE = "rounds_without_base"
"""Field of answers over deltas that were taken against zero: the rounds whose base is not known."""

SEEN_AS_DIFFERENCES = "rounds_seen_as_differences"
"""Field of answers over updates that count as differences though their job does not say so, see `Round.updates`."""

REMARKS = ("unweighted", TENSORS_LEFT_OUT, WITHOUT_BASE, SEEN_AS_DIFFERENCES)
"""Fields that answers of many workloads have, alike in all of them."""

_SEEN_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "Rounds whose updates count as differences: the job does not say what its updates are, and "
    "aggregates lie ten times nearer to the base plus their mean than to their mean; left out where there is none.",
}

_WITHOUT_BASE_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "integer"},
    "description": "Rounds whose updates are models and whose base is not known, so that deltas were taken against "
    "zero; left out where there is none. Store the model that the round started from as the aggregate of an earlier "
    "round.",
}

_LEFT_OUT_SCHEMA: Mapping[str, Any] = {
    "type": "array",
    "items": {"type": "string"},
    "description": "Names of the tensors that had no part in the answer, since they hold integers or flags; empty if "
    "no tensor was read.",
}


@dataclass(frozen=True)
class Description:
    """A workload as `GET /v1/workloads` and `flstore workloads` show it."""

    name: str
    pattern: str
    needs: str
    source: str
    """The method's publication."""
    summary: str
    """What it answers, in a sentence."""
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
        _answer_schema(workload),
    )


def describe_all() -> list[Description]:
    """Return the descriptions of all workloads that load, by name."""
    return [describe(workload) for _, workload in sorted(registry.load().items())]


def validate(workload: AnyWorkload, data: Mapping[str, Any]) -> Any:
    """Return the workload's parameters from JSON values.

    Raises:
        InvalidParameters: with every field that does not fit; its extension `errors` lists their
            `{"field", "message", "input"}`.
    """
    try:
        return _adapter(workload.params).validate_json(json.dumps(dict(data)), strict=True)
    except ValidationError as error:
        bad = [_bad_field(entry) for entry in error.errors(include_url=False, include_context=False)]
        reasons = "; ".join(f"{entry['field']}: {entry['message']}" for entry in bad)
        raise InvalidParameters(f"parameters of {workload.name!r} do not fit: {reasons}", errors=bad) from error


def answer(workload: AnyWorkload, partials: Sequence[Partial], context: Context, params: Any) -> dict[str, Any]:
    """Return the answer that a workload combines, as JSON values.

    What any workload may have to say of its answer comes last: `Weighted.unweighted`, and `tensors_left_out`, which is
    added here.

    Raises:
        BrokenWorkload: if a number in it is not finite.
    """
    value: dict[str, Any] = dump(workload.combine(partials, context, params))
    if reads_vectors(workload):
        read = workload.needs is not Needs.WEIGHTS or context.members
        value.setdefault(TENSORS_LEFT_OUT, list(context.job.schema.outside) if read else [])
        if rounds := _rounds_without_base(workload, context, params):
            value.setdefault(WITHOUT_BASE, rounds)
        if rounds := _rounds_seen_as_differences(context):
            value.setdefault(SEEN_AS_DIFFERENCES, rounds)
    return dict(sorted(value.items(), key=lambda item: item[0] in REMARKS))


def _rounds_seen_as_differences(context: Context) -> list[int]:
    """Return the rounds whose updates count as differences because aggregates show it, not because the job says so."""
    if context.job.updates_stated:
        return []
    return [each.record.number for each in context.rounds if each.updates is Updates.DELTA and each.record.members]


def dump(result: Any) -> Any:
    """Return an answer (a dataclass) as JSON values; raise `BrokenWorkload` if a number in it is not finite."""
    value = _adapter(type(result)).dump_python(result, mode="json")
    document = _JSON.dump_json(value)  # a hundred numbers take 10 µs; by the module json, 140
    is_suspect = b"NaN" in document or b"Infinity" in document  # which a text may have too
    if is_suspect and (place := next(_nonfinite(value, ""), None)) is not None:
        detail = f"{type(result).__name__}.{place} is a number that is not finite, which JSON cannot express"
        raise BrokenWorkload(detail)
    return value


def schema_of(kind: type[object], mode: JsonSchemaMode) -> Mapping[str, Any]:
    """Return the JSON Schema of a dataclass; the docstrings of its fields, inherited ones too, are the descriptions."""
    schema = _adapter(kind).json_schema(mode=mode)
    described = _descriptions(kind)
    for name, property_ in schema.get("properties", {}).items():
        if name in described:
            property_.setdefault("description", described[name])
    return schema


def _rounds_without_base(workload: AnyWorkload, context: Context, params: Any) -> list[int]:
    """Return the rounds whose deltas were taken against zero for want of a base."""
    if not wants_statistics(workload, params) and not getattr(workload, "against_zero", False):
        return []
    rounds = (each for each in context.rounds if each.updates is Updates.WEIGHTS and each.record.members)
    return [each.record.number for each in rounds if each.record.base is None]


def _answer_schema(workload: AnyWorkload) -> Mapping[str, Any]:
    """Return the JSON Schema of what `answer` returns."""
    schema = schema_of(workload.result, "serialization")
    if not reads_vectors(workload):
        return schema
    remarks = {
        TENSORS_LEFT_OUT: _LEFT_OUT_SCHEMA,
        WITHOUT_BASE: _WITHOUT_BASE_SCHEMA,
        SEEN_AS_DIFFERENCES: _SEEN_SCHEMA,
    }
    properties = {**remarks, **schema.get("properties", {})}
    required = dict.fromkeys([*schema.get("required", []), TENSORS_LEFT_OUT])
    return {**schema, "properties": properties, "required": list(required)}


def _descriptions(kind: type[object]) -> Mapping[str, str]:
    """Return the fields' docstrings by name, of base classes too: pydantic reads only those in a class's own body."""
    # From `object` down to the class itself, so that a field declared anew has the docstring of its last declaration.
    described: dict[str, str] = {}
    for base in reversed(kind.__mro__):
        if is_dataclass(base):
            properties = _adapter(base).json_schema().get("properties", {})
            described |= {name: p["description"] for name, p in properties.items() if "description" in p}
    return described


_JSON: TypeAdapter[Any] = TypeAdapter(Any, config=ConfigDict(ser_json_inf_nan="constants"))
"""Writes any JSON value, and what is no finite number as JavaScript does."""

_adapters: dict[type[object], TypeAdapter[Any]] = {}


def _adapter(kind: type[object]) -> TypeAdapter[Any]:
    """Return the dataclass's adapter, made once: building one takes milliseconds."""
    return _adapters[kind] if kind in _adapters else _adapters.setdefault(kind, TypeAdapter(kind))


def _bad_field(error: Mapping[str, Any]) -> dict[str, Any]:
    """Return one of pydantic's errors as a field's path, the reason and the input."""
    place = ".".join(str(step) for step in error["loc"]) or "(all)"
    return {"field": place, "message": error["msg"], "input": error["input"]}


def _nonfinite(value: Any, place: str) -> Iterator[str]:
    """Yield the place of every number in a JSON value that is not finite, such as `values.a[1]`."""
    if isinstance(value, float):
        if not math.isfinite(value):
            yield place
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from _nonfinite(part, f"{place}.{key}" if place else key)
    elif isinstance(value, list):
        for position, part in enumerate(value):
            yield from _nonfinite(part, f"{place}[{position}]")
