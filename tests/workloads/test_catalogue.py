"""The built-in workloads keep to one form: names, what a reader of the list sees, and what a request may leave out."""

import importlib
import re
from dataclasses import MISSING, fields
from inspect import getdoc
from typing import Any

import pytest

from flstore_core.workloads import ClientParams, Needs, Params, Pattern, RangeParams, Result, RoundParams, registry

BUILT_IN = {
    name: workload
    for name, workload in registry.load().items()
    if type(workload).__module__.startswith("flstore_core.workloads.")
}
ABBREVIATIONS = {"llm": "LLM"}
INHERITED = {"ClusteringParams": "clustering", "ContributionParams": "contribution", "RoundParams": "cosine-similarity"}
"""Parameters that lie in `shared` or in the contract, as several workloads have them; and whose they are."""


def class_name(name: str) -> str:
    return "".join(ABBREVIATIONS.get(word, word.capitalize()) for word in name.split("-"))


def of_every_workload(test: Any) -> Any:
    return pytest.mark.parametrize(("name", "workload"), BUILT_IN.items(), ids=list(BUILT_IN))(test)


def test_there_are_twenty_six() -> None:
    assert len(BUILT_IN) == 26


@of_every_workload
def test_classes_are_named_after_the_workload(name: str, workload: Any) -> None:
    assert type(workload).__name__ == class_name(name)
    assert type(workload).__module__ == f"flstore_core.workloads.{name.replace('-', '_')}"
    assert workload.result.__name__ == f"{class_name(name)}Result"
    params = workload.params.__name__
    assert params == f"{class_name(name)}Params" or INHERITED[params] == name
    assert issubclass(workload.params, Params)
    assert issubclass(workload.result, Result)


@of_every_workload
def test_the_summary_is_one_line_and_the_file_opens_with_more_than_one(name: str, workload: Any) -> None:
    summary = getdoc(type(workload)) or ""
    assert re.fullmatch(r"[A-Z][^\n]{20,118}\.", summary), summary
    module = importlib.import_module(type(workload).__module__)
    opening, _, more = (module.__doc__ or "").partition("\n\n")
    assert opening.endswith("."), opening
    assert len(more) > 100, "say how the question is answered, with an example or a source"


@of_every_workload
def test_only_what_cannot_be_guessed_is_required(name: str, workload: Any) -> None:
    required = {
        field.name for field in fields(workload.params) if field.default is MISSING and field.default_factory is MISSING
    }
    assert required <= {"client", "models", "prompts"}, f"{name} requires {required}"


@of_every_workload
def test_a_pattern_reads_what_its_parameters_choose(name: str, workload: Any) -> None:
    """P3 asks about one client; P4, and it alone, needs no more than metadata of a range of rounds."""
    assert (
        (workload.pattern is Pattern.P4)
        == (workload.needs is Needs.METADATA)
        == issubclass(workload.params, RangeParams)
    )
    if issubclass(workload.params, ClientParams):
        assert workload.pattern is Pattern.P3
    if issubclass(workload.params, RoundParams):
        assert workload.pattern is Pattern.P2


@of_every_workload
def test_the_source_is_a_publication_or_says_that_there_is_none(name: str, workload: Any) -> None:
    assert re.search(r"\b(1[89]|20)\d\d\b|arXiv|no publication|Euclidean norm|Protocol", workload.source), (
        workload.source
    )
