"""A job whose clients send differences is answered as one whose clients send the same training as weights."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest

from flstore_core.errors import NotEnoughData
from flstore_core.schema import Schema
from flstore_core.workloads import Needs, reads_vectors, registry
from flstore_core.workloads.describe import SEEN_AS_DIFFERENCES
from tests.gateway.answers.twins import FLOATS, MIXED, Twins, artifacts
from tests.workloads.questions import assert_agree, questions, questions_of_weights

PAIRS: dict[str, tuple[Schema, bool]] = {
    "floats": (FLOATS, True),
    "mixed": (MIXED, True),
    "floats, not stated": (FLOATS, False),
    "mixed, not stated": (MIXED, False),
}
"""The job's schema, and whether it says what its updates are, by a name for both."""


@cache
def twins(pair: str) -> Twins:
    schema, stated = PAIRS[pair]
    return Twins.of(schema, stated=stated)


@cache
def twins_without_base() -> Twins:
    return Twins.of(FLOATS, based=False)


def of_metadata() -> list[tuple[str, dict[str, Any]]]:
    return [(name, {}) for name, workload in sorted(registry.load().items()) if workload.needs is Needs.METADATA]


@pytest.mark.parametrize(("name", "params"), [*of_metadata(), *questions()], ids=str)
@pytest.mark.parametrize("sent", PAIRS)
def test_answers_are_those_of_the_same_training_sent_as_weights(
    sent: str, name: str, params: Mapping[str, Any]
) -> None:
    pair = twins(sent)
    found, expected = (dict(gateway.run(name, **params).result) for gateway in (pair.differences, pair.weights))
    seen = found.pop(SEEN_AS_DIFFERENCES, [])
    assert bool(seen) == (reads_vectors(registry.get(name)) and not PAIRS[sent][1])
    assert_agree(found, expected, 1e-6)


def of_weights() -> list[tuple[str, dict[str, Any]]]:
    """Return `questions_of_weights`, about rounds that have updates here."""
    calibrations: dict[str, Any] = {"calibrations": [[1, 2], [2, 3]]}
    more: list[tuple[str, dict[str, Any]]] = [
        ("inspect", {"client": "c3", "round": 4}),
        ("provenance", {"verify": True, "last": 3}),
    ]
    asked = [*questions_of_weights(), *more]
    return [(name, {**params, **(calibrations if "calibrations" in params else {})}) for name, params in asked]


@pytest.mark.parametrize(("name", "params"), of_weights(), ids=str)
@pytest.mark.parametrize("sent", PAIRS)
def test_models_are_those_of_the_same_training_sent_as_weights(sent: str, name: str, params: Mapping[str, Any]) -> None:
    pair = twins(sent)
    before = [set(artifacts(gateway)) for gateway in (pair.differences, pair.weights)]
    found, expected = (
        without_hashes(gateway.run(name, **params).result) for gateway in (pair.differences, pair.weights)
    )
    assert_agree(found, expected, 1e-6)
    written, others = (
        {name: data for name, data in artifacts(gateway).items() if name not in earlier}
        for gateway, earlier in zip((pair.differences, pair.weights), before, strict=True)
    )
    assert sorted(written.values()) == sorted(others.values())
    for artifact in written:
        assert pair.differences.run("provenance", artifact=artifact, verify=True).result["verified"]


def without_hashes(result: Any) -> Any:
    """Return an answer without what follows from the bytes that were sent, and without the remark on them."""
    if isinstance(result, dict):
        left_out = ("sha256", "href", SEEN_AS_DIFFERENCES)
        return {name: without_hashes(part) for name, part in result.items() if name not in left_out}
    return [without_hashes(part) for part in result] if isinstance(result, list) else result


@pytest.mark.parametrize("slices", [1, 5])
def test_the_number_of_slices_changes_no_model(slices: int) -> None:
    other = Twins.of(MIXED, slices=slices)
    for method in ("fedavg", "clipped-mean", "median"):
        found, expected = (pair.differences.run("aggregate", method=method).result for pair in (other, twins("mixed")))
        assert found["artifact"] == expected["artifact"]


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("aggregate", {"round": 1}),
        ("inspect", {"round": 1, "client": "c0"}),
        ("norms", {"models": [{"round": 1, "client": "c0"}]}),
        ("personalize", {"round": 1}),
    ],
)
def test_a_difference_from_a_model_that_is_not_stored_is_not_taken_for_a_model(name: str, params: Any) -> None:
    pair = twins_without_base()
    with pytest.raises(NotEnoughData, match="round 1 of job 'job' are differences from a model that is not stored"):
        pair.differences.run(name, **params)
    assert pair.weights.run(name, **params).result


def test_an_aggregate_is_a_model_in_both_kinds_of_jobs() -> None:
    pair = twins_without_base()
    found, expected = (gateway.run("inspect", round=1).result for gateway in (pair.differences, pair.weights))
    assert_agree(found, expected, 1e-6)
    traced = pair.differences.run("provenance", verify=True, last=3).result
    assert [generation["verified"] is None for generation in traced["generations"]] == [False, False, True]


@pytest.mark.parametrize("sent", PAIRS)
def test_statistics_of_an_open_round_are_of_what_came(sent: str) -> None:
    pair = twins(sent)
    found, expected = (gateway.run("cosine-similarity", round=4) for gateway in (pair.differences, pair.weights))
    assert found.result["aggregate"] == "fedavg"
    assert_agree(without_hashes(found.result), expected.result, 1e-6)


def test_an_aggregate_beside_differences_without_a_base_is_compared_with_nothing() -> None:
    pair = twins_without_base()
    first = pair.differences.run("cosine-similarity", round=1).result
    assert first["aggregate"] == "fedavg"
    assert pair.differences.run("cosine-similarity", round=2).result["aggregate"] == "stored"
    assert pair.weights.run("cosine-similarity", round=1).result["aggregate"] == "stored"
