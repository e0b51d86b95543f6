"""Descriptions of workloads, and how values become parameters and answers become JSON."""

import json
from dataclasses import asdict, dataclass
from inspect import getdoc

import pytest

from flstore_core.errors import BrokenWorkload, InvalidParameters
from flstore_core.workloads import Result, registry
from flstore_core.workloads.describe import describe, describe_all, dump, schema_of, validate
from flstore_core.workloads.malicious_filter import MaliciousFilterParams
from flstore_core.workloads.norms import Norms


@pytest.mark.parametrize("name", registry.names())
def test_every_field_of_every_workload_is_documented(name: str) -> None:
    described = describe(registry.get(name))
    assert described.summary.endswith(".")
    assert len(described.source) > 10
    for schema in (described.parameters, described.result):
        parts = [schema, *schema.get("$defs", {}).values()]
        undocumented = [field for part in parts for field, p in part["properties"].items() if "description" not in p]
        assert not undocumented


def test_everything_the_command_line_and_the_gateway_show_is_known_without_a_server() -> None:
    described = {description.name: description for description in describe_all()}
    assert list(described) == registry.names()
    norms = described["norms"]
    assert (norms.pattern, norms.needs, norms.source) == ("P2", "weights", "Euclidean norm")
    assert norms.summary == (getdoc(Norms) or "").splitlines()[0]
    assert norms.parameters["required"] == ["models"]
    assert norms.result["properties"]["norms"]["items"] == {"$ref": "#/$defs/Norm"}
    assert json.dumps([asdict(description) for description in described.values()])


def test_inherited_fields_keep_their_description_and_bounds() -> None:
    fields = describe(registry.get("malicious-filter")).parameters["properties"]
    assert "newest committed one by default" in fields["round"]["description"]
    assert {"minimum": 0, "maximum": 99_999_999, "type": "integer"} in fields["round"]["anyOf"]
    assert fields["opposition_threshold"]["exclusiveMinimum"] == 0


def test_valid_parameters_become_the_workloads_own() -> None:
    params = validate(registry.get("malicious-filter"), {"round": 3, "norm_threshold": 2})
    assert params == MaliciousFilterParams(round=3, norm_threshold=2.0)


def test_every_bad_field_is_named() -> None:
    data = {"round": -1, "norm_threshold": "high", "clients": [], "rounds": 3}
    with pytest.raises(InvalidParameters, match="malicious-filter") as caught:
        validate(registry.get("malicious-filter"), data)
    errors = {error["field"]: error for error in caught.value.extensions["errors"]}
    assert errors.keys() == {"round", "norm_threshold", "clients", "rounds"}
    assert errors["round"]["input"] == -1
    assert "number" in errors["norm_threshold"]["message"]
    assert json.dumps(caught.value.extensions)


def test_a_missing_field_is_named() -> None:
    with pytest.raises(InvalidParameters, match="client"):
        validate(registry.get("reputation"), {})


def test_nested_fields_are_named_by_their_path() -> None:
    with pytest.raises(InvalidParameters) as caught:
        validate(registry.get("metrics"), {"where": [{"metric": "loss", "op": "~", "value": 1}]})
    assert [error["field"] for error in caught.value.extensions["errors"]] == ["where.0.op"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value: float) -> None:
    with pytest.raises(InvalidParameters, match="norm_threshold"):
        validate(registry.get("malicious-filter"), {"norm_threshold": value})


@dataclass(frozen=True)
class Numbers(Result):
    values: dict[str, list[float]]


def test_answers_become_json() -> None:
    assert dump(Numbers({"a": [1.0, 2.5]})) == {"values": {"a": [1.0, 2.5]}}


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_an_answer_that_is_not_finite_is_refused_with_its_place(value: float) -> None:
    with pytest.raises(BrokenWorkload, match=r"Numbers\.values\.a\[1\]"):
        dump(Numbers({"a": [1.0, value]}))


@dataclass(frozen=True)
class Part(Result):
    score: float


@dataclass(frozen=True)
class Whole(Result):
    parts: list[Part]
    name: str = "whole"


def test_a_number_that_is_not_finite_is_found_in_nested_parts() -> None:
    assert dump(Whole([Part(1.0)])) == {"parts": [{"score": 1.0}], "name": "whole"}
    with pytest.raises(BrokenWorkload, match=r"Whole\.parts\[1\]\.score is a number that is not finite"):
        dump(Whole([Part(1.0), Part(float("nan"))]))


@pytest.mark.parametrize("name", ["NaN", "Infinity"])
def test_a_text_that_reads_like_a_number_is_none(name: str) -> None:
    assert dump(Whole([], name)) == {"parts": [], "name": name}


def test_parameters_of_another_type_are_not_converted() -> None:
    """A request that says "3" for a number is a mistake of the caller's, and told as one."""
    with pytest.raises(InvalidParameters) as caught:
        validate(registry.get("metrics"), {"first": "3"})
    assert [(error["field"], error["input"]) for error in caught.value.extensions["errors"]] == [("first", "3")]


def test_a_condition_over_several_fields_is_refused_in_its_own_words() -> None:
    with pytest.raises(InvalidParameters, match="method 'fltrust' needs root"):
        validate(registry.get("malicious-filter"), {"method": "fltrust"})


@dataclass(frozen=True)
class Undocumented(Result):
    count: int
    flags: dict[str, bool]


def test_a_field_without_a_docstring_has_a_schema_all_the_same() -> None:
    properties = schema_of(Undocumented, "serialization")["properties"]
    assert properties["count"] == {"title": "Count", "type": "integer"}
    assert "description" not in properties["flags"]


def test_answers_may_hold_any_json_value() -> None:
    assert dump(Undocumented(3, {"a": True})) == {"count": 3, "flags": {"a": True}}
