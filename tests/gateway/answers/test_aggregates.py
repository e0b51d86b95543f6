"""Aggregates that FLStore makes of an open round's updates, and stores as if they had been sent."""

from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from flstore_core import layout
from flstore_core.errors import Conflict, InvalidParameters, NotEnoughData, NotFound, RoundCommitted
from flstore_core.ids import AGGREGATE, ClientId
from flstore_core.records import Member, Updates
from services.gateway.answers import results
from services.gateway.answers.execution import Outcome
from tests.gateway.world import HOME, NAME, World, vector, world

METHODS: list[dict[str, Any]] = [
    {}, {"method": "fedavg", "factors": {"c0": 0.0, "c1": 0.25}}, {"method": "median"},
    {"method": "trimmed-mean", "trim": 0.2}, {"method": "geometric-median"}, {"method": "krum"},
    {"method": "multi-krum", "factors": {"c2": 0.0}}, {"method": "bulyan"}, {"method": "clipped-mean", "clip": 1.5},
    {"method": "median", "clients": ["c1", "c2", "c3", "c4"]},
]  # fmt: skip


def filled(clients: int = 8, **settings: Any) -> World:
    """Return a gateway with a base in round 0 and updates in the open round 1."""
    it = world()
    it.create(**settings)
    it.put_aggregate(0, 2)
    it.commit(0)
    it.fill(1, clients)
    return it


def make(it: World, *, replace: bool = False, **params: Any) -> Outcome:
    return it.state.aggregates.make(NAME, 1, params, replace=replace)


def aggregate(it: World) -> Member:
    member = it.state.rounds.openings.read_round(it.job, 1).aggregate
    assert member is not None
    return member


def tensors(it: World) -> dict[str, Any]:
    return load(it.store.contents[layout.tensors(HOME, 1, AGGREGATE, aggregate(it).upload)])


def test_the_aggregate_is_the_mean_of_the_updates_and_is_stored_with_the_round() -> None:
    it = filled(3)
    outcome = make(it)
    mean = np.average([vector(seed) for seed in (1, 2, 3)], axis=0, weights=[10, 11, 12])
    np.testing.assert_allclose([*tensors(it)["bias"], *tensors(it)["weight"].reshape(-1)], mean, rtol=1e-6)
    record = it.commit(1)
    assert record.aggregate == aggregate(it)
    assert outcome.result["artifact"] == {
        "href": "/v1/jobs/job/rounds/1/aggregate",
        "sha256": record.aggregate.sha256,
        "nbytes": record.aggregate.nbytes,
        "parameters": 6,
    }


def test_counters_are_those_of_a_client() -> None:
    it = filled(3)
    make(it)
    assert tensors(it)["steps"] == 3


@pytest.mark.parametrize("params", METHODS)
@pytest.mark.parametrize("updates", list(Updates))
def test_provenance_makes_it_again_by_whichever_method(params: dict[str, Any], updates: Updates) -> None:
    it = filled(updates=updates, updates_stated=True)
    make(it, **params)
    it.commit(1)
    answer = it.run("provenance", round=1, verify=True).result
    (generation,) = answer["generations"]
    assert generation["verified"], generation
    assert answer["verified"]
    if "factors" in params:
        weights = {row["client"]: row["weight"] for row in generation["updates"]}
        assert {client for client, weight in weights.items() if not weight} >= {
            client for client, factor in params["factors"].items() if not factor
        }


@pytest.mark.parametrize("params", METHODS)
def test_provenance_sees_that_an_aggregate_is_not_what_it_says(params: dict[str, Any]) -> None:
    it = filled()
    make(it, **params)
    honest = aggregate(it)
    it.put_aggregate_with(1, 5, dict(honest.metrics))
    it.commit(1)
    assert it.run("provenance", round=1, verify=True).result["verified"] is False


def test_an_update_that_comes_after_the_aggregate_has_no_weight_in_it() -> None:
    it = filled(3)
    make(it)
    it.put(1, "late", 6)
    it.commit(1)
    (generation,) = it.run("provenance", round=1, verify=True).result["generations"]
    assert generation["verified"]
    assert {row["client"]: row["weight"] for row in generation["updates"]}["late"] == 0.0


def test_what_is_stored_of_an_aggregate_names_no_client() -> None:
    it = filled(0)
    for seed in (1, 2, 3):
        it.put(1, f"hospital-{seed}", seed)
    before = set(it.store.contents)
    make(it, clients=["hospital-1", "hospital-2"], factors={"hospital-2": 0.5})
    assert not [key for key in set(it.store.contents) - before if b"hospital" in it.store.contents[key]]


def test_an_aggregate_is_the_file_that_a_server_would_have_sent() -> None:
    it = filled(3)
    make(it)
    content = it.store.contents[layout.tensors(HOME, 1, AGGREGATE, aggregate(it).upload)]
    assert content == save(load(content))


def test_asking_again_changes_nothing() -> None:
    it = filled(3)
    first = make(it)
    before = dict(it.store.contents)
    assert make(it).result == first.result
    assert it.store.contents == before
    it.commit(1)
    assert make(it).result == first.result


def test_another_aggregate_takes_its_place_only_if_it_may() -> None:
    it = filled(3)
    make(it)
    with pytest.raises(Conflict, match="replace=true"):
        make(it, method="median")
    make(it, method="median", replace=True)
    assert aggregate(it).metrics["made"]["method"] == "median"


def test_one_that_names_its_clients_stays_the_same_when_others_come() -> None:
    it = filled(3)
    first = make(it, clients=["c0", "c1"])
    it.put(1, "late", 6)
    assert make(it, clients=["c0", "c1"]).result == first.result


def test_a_round_without_updates_has_no_aggregate_to_make() -> None:
    it = filled(0)
    with pytest.raises(NotFound):
        make(it)
    it.put(1, "c0", 1)
    with pytest.raises(NotFound, match="c9"):
        make(it, clients=["c9"])
    with pytest.raises(NotFound, match="c9"):
        make(it, factors={"c9": 0.0})
    with pytest.raises(NotEnoughData):
        make(it, factors={"c0": 0.0})


def test_a_round_that_was_committed_without_one_gets_none() -> None:
    it = filled(3)
    it.commit(1)
    with pytest.raises(RoundCommitted):
        make(it)


def test_a_model_that_was_refused_is_in_no_later_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "WORTH_KEEPING_S", 0.0)
    it = filled(3)
    it.commit(1)
    with pytest.raises(RoundCommitted):
        make(it)
    link = it.run("aggregate", round=1).result["artifact"]
    assert layout.artifact(HOME, link["sha256"][:32]) in it.store.contents, f"nothing is stored at {link['href']}"


def test_the_round_is_named_by_the_path_alone() -> None:
    with pytest.raises(InvalidParameters, match="leave it out"):
        make(filled(3), round=0)


def test_factors_other_than_none_and_all_need_a_method_that_weighs() -> None:
    with pytest.raises(InvalidParameters, match="weighs no client"):
        make(filled(3), method="median", factors={"c0": 0.5})


def test_noise_cannot_be_made_again_and_its_seed_is_not_kept() -> None:
    it = filled()
    make(it, method="clipped-mean", clip=1.0, noise=0.5, seed=7)
    assert "seed" not in aggregate(it).metrics["made"]["params"]
    it.commit(1)
    assert it.run("provenance", round=1, verify=True).result["verified"] is None


def test_an_aggregate_of_a_client_that_was_erased_is_not_made_again() -> None:
    it = filled(3)
    make(it)
    it.commit(1)
    it.state.eraser.erase(NAME, ClientId("c1"))
    assert it.run("provenance", round=1, verify=True).result["verified"] is None


@pytest.mark.parametrize("made", [3, {}, {"method": "fedavg"}, {"method": "fedavg", "weights": 3, "dropped": 0}])
def test_what_does_not_read_as_a_making_is_none(made: Any) -> None:
    it = filled(3)
    it.put_aggregate_with(1, 5, {"made": made})
    it.commit(1)
    assert it.run("provenance", round=1, verify=True).result["verified"] is False
