"""Forms from JSON Schemas, and what is put into them."""

from typing import Any

import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import registry
from flstore_core.workloads.describe import Description, describe_all, validate
from services.console.parts.forms import Field, Kind, as_text, fields, value_of, values_of

SCHEMA: dict[str, Any] = {
    "properties": {
        "round": {"anyOf": [{"type": "integer", "minimum": 0, "maximum": 9}, {"type": "null"}], "default": None},
        "method": {"enum": ["a", "b"], "type": "string", "default": "a", "description": "Which\nmethod."},
        "share": {"type": "number", "exclusiveMinimum": 0},
        "deep": {"type": "boolean", "default": False},
        "clients": {"type": "array", "items": {"type": "string"}},
        "models": {"type": "array", "items": {"$ref": "#/$defs/Model"}},
        "model": {"$ref": "#/$defs/Model"},
        "either": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
        "root": {"type": "string"},
    },
    "required": ["share"],
    "$defs": {"Model": {"type": "object"}},
}


def field(name: str) -> Field:
    return next(each for each in fields(SCHEMA) if each.name == name)


def test_each_kind_of_parameter_has_its_kind_of_field() -> None:
    kinds = {each.name: each.kind for each in fields(SCHEMA)}
    assert kinds == {
        "share": Kind.NUMBER,
        "round": Kind.WHOLE,
        "method": Kind.CHOICE,
        "deep": Kind.FLAG,
        "clients": Kind.NAMES,
        "models": Kind.JSON,
        "model": Kind.JSON,
        "either": Kind.JSON,
        "root": Kind.TEXT,
    }


def test_what_is_required_comes_first() -> None:
    assert fields(SCHEMA)[0].name == "share"


def test_a_hint_says_what_may_be_put_in() -> None:
    assert field("round").hint == "a whole number from 0 to 9"
    assert field("share").hint == "a number from 0, required"
    assert field("method").hint == "default a"
    assert (
        fields({"properties": {"a": {"type": "number", "default": 2, "maximum": 1e6}}})[0].hint
        == "default 2, to 1,000,000"
    )
    assert (field("method").help, field("clients").hint) == ("Which method.", "one a line")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("round", " 7 ", 7),
        ("share", "0.5", 0.5),
        ("deep", "true", True),
        ("deep", "false", False),
        ("method", "b", "b"),
        ("clients", "a\n\n b c \n", ["a", "b c"]),
        ("models", '[{"round": 1}]', [{"round": 1}]),
        ("either", '"x"', "x"),
        ("root", "  ", None),
    ],
)
def test_texts_become_values(name: str, text: str, value: Any) -> None:
    assert value_of(field(name), text) == value


@pytest.mark.parametrize(
    ("name", "text"), [("round", "x"), ("share", "1,5"), ("deep", "maybe"), ("models", "["), ("models", "[" * 9999)]
)
def test_what_does_not_fit_is_named(name: str, text: str) -> None:
    with pytest.raises(InvalidParameters, match=f"^{name}: "):
        value_of(field(name), text)


def test_only_what_was_filled_in_is_sent() -> None:
    assert values_of(fields(SCHEMA), {"share": "1", "root": "", "round": "2"}) == {"share": 1.0, "round": 2}
    with pytest.raises(InvalidParameters, match="fill in share"):
        values_of(fields(SCHEMA), {})


@pytest.mark.parametrize("value", ["b c", ["a", "b"], 7, 0.5, True, [{"round": 1}], [], ["a\nb"]])
def test_a_value_in_a_field_is_the_value(value: Any) -> None:
    kinds = {str: "root", list: "clients" if value == ["a", "b"] else "models", int: "round", float: "share"}
    name = "deep" if isinstance(value, bool) else kinds[type(value)]
    assert value_of(field(name), as_text(value)) == value
    assert as_text(None) == ""


@pytest.mark.parametrize("described", describe_all(), ids=lambda each: each.name)
def test_every_workload_has_a_form_whose_defaults_it_accepts(described: Description) -> None:
    asked = fields(described.parameters)
    params = values_of(
        [each for each in asked if not each.required], {each.name: as_text(each.default) for each in asked}
    )
    refused = _refused(described.name, params)
    assert refused <= {each.name for each in asked if each.required}


def _refused(workload: str, params: dict[str, Any]) -> set[str]:
    """Return the names of the parameters that do not fit."""
    try:
        validate(registry.get(workload), params)
    except InvalidParameters as error:
        return {each["field"] for each in error.extensions.get("errors", ())}
    return set()
