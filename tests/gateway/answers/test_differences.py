"""A job whose clients send differences is answered as one whose clients send the same training as weights."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from flstore_core.workloads import Needs, registry
from tests.gateway.answers.twins import FLOATS, MIXED, Twins
from tests.workloads.questions import assert_agree, questions

SCHEMAS = {"floats": FLOATS, "mixed": MIXED}


@cache
def twins(schema: str) -> Twins:
    return Twins.of(SCHEMAS[schema])


def of_metadata() -> list[tuple[str, dict[str, Any]]]:
    return [(name, {}) for name, workload in sorted(registry.load().items()) if workload.needs is Needs.METADATA]


@pytest.mark.parametrize(("name", "params"), [*of_metadata(), *questions()], ids=str)
@pytest.mark.parametrize("schema", SCHEMAS)
def test_answers_are_those_of_the_same_training_sent_as_weights(
    schema: str, name: str, params: Mapping[str, Any]
) -> None:
    pair = twins(schema)
    found, expected = (gateway.run(name, **params).result for gateway in (pair.differences, pair.weights))
    assert_agree(found, expected, 1e-6)


@pytest.mark.parametrize("schema", SCHEMAS)
def test_statistics_of_an_open_round_are_of_what_came(schema: str) -> None:
    pair = twins(schema)
    found, expected = (gateway.run("cosine-similarity", round=4) for gateway in (pair.differences, pair.weights))
    assert found.result["aggregate"] == "fedavg"
    assert_agree(found.result, expected.result, 1e-6)


def test_an_aggregate_beside_differences_without_a_base_is_compared_with_nothing() -> None:
    pair = Twins.of(FLOATS, based=False)
    first = pair.differences.run("cosine-similarity", round=1).result
    assert first["aggregate"] == "fedavg"
    assert pair.differences.run("cosine-similarity", round=2).result["aggregate"] == "stored"
    assert pair.weights.run("cosine-similarity", round=1).result["aggregate"] == "stored"
