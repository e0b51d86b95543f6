"""A workload's parameters as fields of a form, and what was put into them as values. Pure.

The JSON Schema of the parameters says everything: names, kinds, bounds, defaults and help. So a package's workload has
a form as the built-in ones have.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Any

from flstore_core.errors import InvalidParameters


class Kind(Enum):
    """How a field is filled in."""

    FLAG = "flag"
    CHOICE = "choice"
    WHOLE = "whole number"
    NUMBER = "number"
    TEXT = "text"
    NAMES = "names"
    """A list of texts, one a line."""
    JSON = "JSON"
    """Anything else."""


@dataclass(frozen=True)
class Field:
    """One parameter."""

    name: str
    kind: Kind
    help: str
    required: bool
    default: Any = None
    choices: Sequence[str] = ()
    low: float | None = None
    high: float | None = None

    @property
    def hint(self) -> str:
        """What may be put in, in a few words, and what is taken if nothing is."""
        ends = ((word, end) for word, end in (("from", self.low), ("to", self.high)) if end is not None)
        bounds = [f"{word} {end:,.12g}" for word, end in ends]
        usual = [] if self.default is None else [f"default {as_text(self.default)}"]
        what = " ".join(bounds if usual and bounds else [_ASKED[self.kind], *bounds]).strip()
        return ", ".join(part for part in (*usual, what, "required" if self.required else "") if part)


_ASKED = {
    Kind.FLAG: "",
    Kind.CHOICE: "",
    Kind.WHOLE: "a whole number",
    Kind.NUMBER: "a number",
    Kind.TEXT: "",
    Kind.NAMES: "one a line",
    Kind.JSON: "as JSON",
}
_KINDS = {"boolean": Kind.FLAG, "integer": Kind.WHOLE, "number": Kind.NUMBER, "string": Kind.TEXT}


def fields(schema: Mapping[str, Any]) -> list[Field]:
    """Return the parameters that a JSON Schema describes; those that are required come first."""
    required = schema.get("required", [])
    made = [
        _field(name, each, name in required, schema.get("$defs", {})) for name, each in schema["properties"].items()
    ]
    return sorted(made, key=lambda field: not field.required)


def value_of(field: Field, text: str) -> Any:
    """Return what was put into a field as a JSON value; None if it was left empty.

    Raises:
        InvalidParameters: if it is no such value.
    """
    if not text.strip():
        return None
    try:
        return _PARSE[field.kind](text)
    except (ValueError, RecursionError) as error:
        raise InvalidParameters(f"{field.name}: {text!r:.80} is no {field.kind.value}; {field.hint}") from error


def values_of(asked: Sequence[Field], texts: Mapping[str, str]) -> dict[str, Any]:
    """Return the parameters that were filled in; raise `InvalidParameters` as `value_of`, or if one is missing."""
    values = {field.name: value_of(field, texts.get(field.name, "")) for field in asked}
    if missing := [field.name for field in asked if field.required and values[field.name] is None]:
        raise InvalidParameters(f"fill in {', '.join(missing)}")
    return {name: value for name, value in values.items() if value is not None}


def as_text(value: Any) -> str:
    """Return a value as it is put into a field."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and value and all(isinstance(each, str) and "\n" not in each for each in value):
        return "\n".join(value)
    return json.dumps(value, ensure_ascii=False)


def _field(name: str, schema: Mapping[str, Any], required: bool, definitions: Mapping[str, Any]) -> Field:
    kinds = [_resolved(each, definitions) for each in schema.get("anyOf", [schema])]
    (only, *others) = [each for each in kinds if each.get("type") != "null"] or [{}]
    form = only if not others else {}
    return Field(
        name,
        _kind(form),
        " ".join(str(schema.get("description", "")).replace("`", "").split()),
        required,
        schema.get("default"),
        [str(each) for each in form.get("enum", ())],
        form.get("minimum", form.get("exclusiveMinimum")),
        form.get("maximum", form.get("exclusiveMaximum")),
    )


def _resolved(schema: Mapping[str, Any], definitions: Mapping[str, Any]) -> Mapping[str, Any]:
    reference = str(schema.get("$ref", ""))
    return definitions.get(reference.rpartition("/")[2], schema) if reference else schema


def _kind(schema: Mapping[str, Any]) -> Kind:
    if "enum" in schema and schema.get("type", "string") == "string":
        return Kind.CHOICE
    if schema.get("type") == "array" and schema.get("items", {}).get("type") == "string":
        return Kind.NAMES
    return _KINDS.get(str(schema.get("type")), Kind.JSON)


def _flag(text: str) -> bool:
    if text.strip() not in ("true", "false"):
        raise ValueError("neither true nor false")
    return text.strip() == "true"


def _names(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


_PARSE: Mapping[Kind, Callable[[str], Any]] = {
    Kind.FLAG: _flag,
    Kind.CHOICE: str.strip,
    Kind.WHOLE: int,
    Kind.NUMBER: float,
    Kind.TEXT: str.strip,
    Kind.NAMES: _names,
    Kind.JSON: json.loads,
}
