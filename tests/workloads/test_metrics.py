"""Metrics against the standard library's statistics, and by hand."""

import statistics
from typing import Any

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound
from flstore_core.workloads.metrics import Condition, Metrics, MetricsParams
from tests.workloads.rounds import Index, ask, rounds_of

ASKED = Metrics()


HISTORY = rounds_of(
    {"a": {"loss": 4.0, "device": "phone"}, "b": {"loss": 2.0, "device": "tablet", "extra": 1}},
    {"a": {"loss": 3.0, "device": "phone"}, "c": {"device": "phone", "note": [1, 2]}},
    {"b": {"loss": 1.0, "device": "phone"}},
)


def test_aggregations_are_those_of_the_standard_library() -> None:
    losses = [4.0, 2.0, 3.0, 1.0]
    (group,) = ask(ASKED, HISTORY, metrics=["loss"], quantiles=[0.25, 0.9]).groups
    found = group.values["loss"]
    assert found["mean"] == statistics.fmean(losses)
    assert found["median"] == statistics.median(losses)
    assert found["std"] == pytest.approx(statistics.pstdev(losses))
    assert (found["count"], found["min"], found["max"]) == (4, 1, 4)
    assert found["q0.25"] == statistics.quantiles(losses, n=4, method="inclusive")[0]
    assert found["q0.9"] == pytest.approx(3.7)
    assert group.participations == 5


def test_grouping_by_round_client_and_metric() -> None:
    def sums(*by: str) -> dict[tuple[Any, ...], float | None]:
        groups = ask(ASKED, HISTORY, metrics=["loss"], aggregations=["sum"], group_by=list(by)).groups
        return {tuple(group.key.values()): group.values["loss"].get("sum") for group in groups}

    assert sums("round") == {(0,): 6, (1,): 3, (2,): 1}
    assert sums("client") == {("a",): 7, ("b",): 3, ("c",): None}
    assert sums("device") == {("phone",): 8, ("tablet",): 2}
    assert sums("extra") == {(None,): 8, (1,): 2}
    assert list(sums("device", "round")) == [("phone", 0), ("phone", 1), ("phone", 2), ("tablet", 0)]


@pytest.mark.parametrize(
    ("condition", "participations"),
    [
        (Condition("loss", ">=", 2), 3),
        (Condition("loss", "!=", 2), 3),
        (Condition("device", "==", "phone"), 4),
        (Condition("client", "<", "b"), 2),
        (Condition("round", ">", 0), 3),
        (Condition("device", ">", 3), 0),
    ],
)
def test_filters(condition: Condition, participations: int) -> None:
    assert ask(ASKED, HISTORY, where=[condition]).participations == participations


def test_all_conditions_must_hold() -> None:
    both = [Condition("loss", ">", 1), Condition("device", "==", "phone")]
    assert ask(ASKED, HISTORY, where=both).participations == 2


def test_every_numeric_metric_is_taken_by_default() -> None:
    (group,) = ask(ASKED, HISTORY).groups
    assert group.values.keys() == {"loss", "extra"}


def test_an_unknown_metric_is_answered_with_the_nearest() -> None:
    for wrong in ({"metrics": ["los"]}, {"group_by": ["los"]}, {"where": [Condition("los", ">", 1)]}):
        with pytest.raises(NotFound, match="nearest: loss"):
            ask(ASKED, HISTORY, **wrong)


def test_sums_beyond_all_numbers_are_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"'loss' reaches 1e\+308 in size.* a condition in where"):
        ask(ASKED, rounds_of({"a": {"loss": 1e308}, "b": {"loss": 1e308}}), aggregations=["sum"])


def test_nobody_left_is_an_empty_answer() -> None:
    assert ask(ASKED, HISTORY, where=[Condition("loss", ">", 99)]).groups == []


def test_the_range_of_rounds() -> None:
    index = Index(committed=[2, 3, 7, 9])
    assert ASKED.select(MetricsParams(first=3, last=8), index) == [3, 7]
    assert ASKED.select(MetricsParams(), index) == [2, 3, 7, 9]
    with pytest.raises(NotEnoughData, match="no committed round lies within 4 to 6"):
        ASKED.select(MetricsParams(first=4, last=6), index)
    with pytest.raises(InvalidParameters, match=r"first \(5\) is after last \(4\)"):
        ASKED.select(MetricsParams(first=5, last=4), index)


def test_quantiles_are_numpys() -> None:
    values = np.random.default_rng(0).standard_normal(17)
    data = rounds_of({f"c{i}": {"x": float(value)} for i, value in enumerate(values)})
    (group,) = ask(ASKED, data, quantiles=[0.0, 0.1, 0.5, 1.0]).groups
    assert [group.values["x"][f"q{q:g}"] for q in (0, 0.1, 0.5, 1)] == pytest.approx(
        np.quantile(values, [0, 0.1, 0.5, 1]).tolist()
    )


@pytest.mark.parametrize(
    ("condition", "participations"),
    [
        (Condition("flag", "==", value=True), 1),
        (Condition("flag", "!=", value=True), 1),
        (Condition("size", ">", 1e300), 1),
        (Condition("size", "<=", 3), 1),
        (Condition("size", "==", "3"), 0),
        (Condition("list", "==", "[1]"), 0),
        (Condition("none", "==", "x"), 0),
    ],
)
def test_conditions_on_values_of_any_json_type(condition: Condition, participations: int) -> None:
    history = rounds_of(
        {"a": {"flag": True, "size": 3, "list": [1], "none": None}, "b": {"flag": False, "size": 10**400}}
    )
    answer = ask(ASKED, history, where=[condition], metrics=["size"])
    assert answer.participations == participations


def test_groups_of_mixed_keys_come_missing_first_then_numbers_then_text() -> None:
    history = rounds_of({"a": {"k": "x"}, "b": {"k": 2}, "c": {"k": 1.5}, "d": {}, "e": {"k": True}})
    groups = ask(ASKED, history, group_by=["k"], metrics=["client"]).groups
    assert [group.key["k"] for group in groups] == [None, True, 1.5, 2, "x"]
    assert {tuple(group.values["client"].items()) for group in groups} == {(("count", 0),)}


def test_one_participation_has_no_spread() -> None:
    (group,) = ask(ASKED, rounds_of({"a": {"x": 3}}), quantiles=[0.0, 1.0]).groups
    assert group.values["x"] == {"count": 1, "mean": 3, "std": 0, "min": 3, "median": 3, "max": 3, "q0": 3, "q1": 3}


def test_a_metric_named_twice_is_computed_once() -> None:
    (group,) = ask(ASKED, HISTORY, metrics=["loss", "loss"], aggregations=["max"]).groups
    assert group.values == {"loss": {"max": 4.0}}
