"""Norms against NumPy in float64, and the pattern under which they are read."""

from typing import Literal

import numpy as np
import pytest

from flstore_core.errors import NotFound
from flstore_core.flat import Float32
from flstore_core.ids import JobId
from flstore_core.patterns import Pattern
from flstore_core.records import Job
from flstore_core.workloads import Context, SliceView, pattern_of, registry
from flstore_core.workloads.norms import Norms, NormsParams, StoredModel
from tests.workloads.rounds import Artifacts, Index, make_round, rounds_of, schema_of, view
from tests.workloads.stored import MIXED, Stored

ASKED = Norms()


def norms(rows: Float32, slices: int) -> list[float]:
    schema, data = schema_of(rows.shape[1]), make_round(rows)
    params = NormsParams([StoredModel(0, f"c{row}") for row in range(len(rows))])
    members = tuple(ASKED.members([data], params))
    views = [SliceView(members, tuple(view(row, schema, part, slices) for row in rows)) for part in range(slices)]
    context = Context(Job(JobId("job"), schema), (data,), Artifacts(), members)
    answer = ASKED.combine([ASKED.map(one, params) for one in views], context, params)
    return [entry.norm for entry in answer.norms]


@pytest.mark.parametrize("slices", [1, 2, 5])
def test_norms_are_numpys_for_any_number_of_slices(slices: int) -> None:
    rows = np.random.default_rng(0).standard_normal((3, 200_000)).astype(np.float32)
    np.testing.assert_allclose(norms(rows, slices), np.linalg.norm(rows.astype(np.float64), axis=1), rtol=1e-6)


@pytest.mark.parametrize("value", [0.1, 0.01, 0.7, 1e30, 1e-30])
def test_norms_of_equal_elements_are_as_good(value: float) -> None:
    rows = np.full((1, 200_000), value, np.float32)
    np.testing.assert_allclose(norms(rows, 2), np.linalg.norm(rows.astype(np.float64), axis=1), rtol=1e-7)


@pytest.mark.parametrize("pattern", ["P1", "P2", "P3"])
def test_the_reading_counts_under_the_pattern_it_is_asked_under(pattern: Literal["P1", "P2", "P3"]) -> None:
    params = NormsParams([StoredModel(0)], pattern=pattern)
    assert pattern_of(registry.get("norms"), params) is Pattern(pattern)


def test_unknown_rounds_and_clients_are_not_found() -> None:
    with pytest.raises(NotFound, match="round 7 has no models"):
        ASKED.select(NormsParams([StoredModel(7)]), Index(committed=[0]))
    with pytest.raises(NotFound, match="client in round 0"):
        ASKED.members([make_round(np.ones((1, 6)))], NormsParams([StoredModel(0, "c9")]))


@pytest.mark.parametrize("slices", [1, 2, 3])
def test_models_of_several_rounds_are_read_in_the_order_of_the_request(slices: int) -> None:
    rng = np.random.default_rng(1)
    rounds = [make_round(np.ones((2, 3)), ["a", "b"], number=number, aggregate=np.ones(3)) for number in (2, 5)]
    keys = [(number, client) for number in (2, 5) for client in ("a", "b", "aggregate")]
    models = {key: rng.integers(-8, 9, MIXED.parameters).astype(np.float64) for key in keys}
    stored = Stored(MIXED, rounds, models)
    asked = [StoredModel(5, "b"), StoredModel(2), StoredModel(2, "a"), StoredModel(5)]
    answer = stored.ask(ASKED, slices, models=asked)
    assert [(norm.round, norm.client) for norm in answer.norms] == [(m.round, m.client) for m in asked]
    expected = [np.linalg.norm(models[model.round, model.client]) for model in asked]
    assert [norm.norm for norm in answer.norms] == pytest.approx(expected, rel=1e-6)


def test_an_open_round_can_be_read_and_an_aggregate_that_is_not_stored_cannot() -> None:
    assert ASKED.select(NormsParams([StoredModel(9), StoredModel(3), StoredModel(9, "a")]), Index([3], [9])) == [3, 9]
    (data,) = rounds_of({"a": {}, "b": {}})
    with pytest.raises(NotFound, match="round 0 has no aggregate; name a client of a, b"):
        ASKED.members([data], NormsParams([StoredModel(0)]))
