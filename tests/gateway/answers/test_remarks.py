"""Answers that depend on weights name who gave none, and answers of flat vectors the tensors that they left out."""

from collections.abc import Mapping
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.ids import ClientId
from flstore_core.presentation import Facts, present
from flstore_core.presentation.remarks import remarks_of
from flstore_core.records import MAX_WEIGHT, Updates
from flstore_core.workloads import Needs, Weighted, registry
from flstore_core.workloads.describe import REMARKS, SEEN_AS_DIFFERENCES, TENSORS_LEFT_OUT, WITHOUT_BASE, describe
from services.gateway.rounds.upload import Upload
from tests.gateway.answers.test_weight_key import asked, trained
from tests.gateway.world import World, body, world
from tests.workloads.questions import leaves

CLIENT = 3
"""The client that gives no weight, or another one."""
SELDOM = {WITHOUT_BASE, SEEN_AS_DIFFERENCES}
"""Remarks that an answer has only where there is something to say."""
HEAVY = 40
"""More than most, and less than the heaviest: from that one an artifact takes what it has of integers."""


@cache
def job(weight: float | str | None) -> World:
    """Return a job in which that client reports `weight` under the name that the job gives; None for nothing."""
    return trained({"samples": 0}, "samples", {CLIENT: weight})


def answer(weight: float | str | None, name: str, params: Mapping[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = job(weight).run(name, **params).result
    return result


def said(result: Mapping[str, Any]) -> dict[str, Any]:
    """Return all that an answer says but its remarks, floats to their first digits."""
    rest = {name: each for name, each in result.items() if name not in REMARKS}
    return {place: f"{value:.6g}" if isinstance(value, float) else value for place, value in leaves(rest)}


@pytest.mark.parametrize(("name", "params"), asked(), ids=str)
def test_whose_weight_is_missing_is_named_wherever_weights_count(name: str, params: dict[str, Any]) -> None:
    without, light, heavy = (answer(weight, name, params) for weight in (None, 1, HEAVY))
    depends = said(light) != said(heavy)
    assert said(without) == said(light), "none counts as one example"
    assert (f"c{CLIENT}" in without.get("unweighted", [])) >= depends
    assert not light.get("unweighted")
    assert issubclass(registry.get(name).result, Weighted) == ("unweighted" in without)


@pytest.mark.parametrize("weight", ["many", "12", -1])
def test_a_metric_that_is_no_weight_is_named_like_none(weight: Any) -> None:
    assert answer(weight, "aggregate", {})["unweighted"] == [f"c{CLIENT}"]
    assert answer(weight, "aggregate", {})["weights"] == answer(None, "aggregate", {})["weights"]


def test_zero_is_a_weight() -> None:
    result = answer(0, "aggregate", {})
    assert (result["weights"][CLIENT], result["unweighted"]) == (0.0, [])


@pytest.mark.parametrize(("name", "params"), asked(), ids=str)
def test_tensors_outside_the_flat_vector_are_named_by_every_answer_of_vectors(
    name: str, params: dict[str, Any]
) -> None:
    outcome = job(None).run(name, **params)
    needs = registry.get(name).needs
    reads = needs is Needs.STATISTICS or (needs is Needs.WEIGHTS and bool(outcome.execution.slices))
    assert outcome.result.get(TENSORS_LEFT_OUT, []) == (["steps"] if reads else [])
    assert (TENSORS_LEFT_OUT in outcome.result) == (needs is not Needs.METADATA)
    schema = describe(registry.get(name)).result
    assert schema["properties"].keys() - SELDOM == outcome.result.keys() - SELDOM
    assert outcome.result.keys() >= set(schema["required"])
    assert all(schema["properties"][field]["description"] for field in REMARKS if field in outcome.result)


@pytest.mark.parametrize(("name", "params"), asked(), ids=str)
def test_remarks_are_shown_in_the_same_words_and_once(name: str, params: dict[str, Any]) -> None:
    result = answer(None, name, params)
    shown = present(name, result)
    expected = []
    if result.get("unweighted"):
        expected.append(f"Counted equally, for want of a weight: c{CLIENT}")
    if result.get(TENSORS_LEFT_OUT):
        expected.append("Tensors left out, as they hold no floating-point numbers: steps")
    if WITHOUT_BASE in result:
        expected.append(shown.remarks[-1])
        assert "taken against zero" in expected[-1]
    assert shown.remarks == expected
    facts = [part.values for part in shown.parts if isinstance(part, Facts)]
    assert not any(field in values for field in REMARKS for values in facts)


def test_the_same_fields_are_shown_as_are_said() -> None:
    found, rest = remarks_of({"round": 1, **{name: ["a"] for name in REMARKS}})
    assert (len(found), rest) == (len(REMARKS), {"round": 1})


reported = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 10**16),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from([10**400, -(10**400), 1e15, 5e-324, "7", "", [3], {"n": 3}]),
)


@given(st.lists(reported, min_size=1, max_size=4), st.booleans())
@settings(max_examples=40, deadline=None)
def test_whatever_is_reported_as_weight_is_counted_or_named(values: list[Any], replaced: bool) -> None:
    gateway = world()
    gateway.create(weight_key="samples")
    for client, value in enumerate(values):
        if replaced:
            gateway.put(0, f"c{client}", client, samples=client)
        upload = Upload(
            gateway.job, 0, ClientId(f"c{client}"), memoryview(body(client)), {"samples": value}, replace=True
        )
        gateway.state.ingest.put(upload)
    gateway.commit(0)
    usable = [type(value) in (int, float) and 0 <= value < MAX_WEIGHT for value in values]
    weights = [value if known else 1.0 for value, known in zip(values, usable, strict=True)]
    found = gateway.run("aggregate", round=0).result
    alike = not any(weights)
    assert found["weights"] == pytest.approx([1 / len(values) if alike else each / sum(weights) for each in weights])
    assert found["unweighted"] == [f"c{client}" for client, known in enumerate(usable) if alike or not known]


@pytest.mark.parametrize(("name", "params"), asked(), ids=str)
@pytest.mark.parametrize("updates", [Updates.WEIGHTS, Updates.DELTA])
def test_deltas_against_zero_are_told_of_until_the_round_has_a_base(
    name: str, params: dict[str, Any], updates: Updates
) -> None:
    workload = registry.get(name)
    asks_for_one = "round" in describe(workload).parameters["properties"]
    if workload.needs is not Needs.STATISTICS or params or not asks_for_one:
        return
    gateway = world()
    gateway.create(updates=updates)
    gateway.fill(1, 6)
    gateway.commit(1)
    result = gateway.run(name).result
    assert result.get(WITHOUT_BASE, []) == ([1] if updates is Updates.WEIGHTS else [])
    gateway.put_aggregate(0, 9)
    gateway.commit(0)
    assert WITHOUT_BASE not in gateway.run(name, round=1).result
