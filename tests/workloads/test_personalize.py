"""A model per group, against NumPy in float64, and on planted groups of digits."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from flstore_core.errors import NotEnoughData
from flstore_core.workloads import RoundData
from flstore_core.workloads.personalize import Personalize
from tests.workloads.federated import Setting, Sites
from tests.workloads.rounds import make_round, schema_of
from tests.workloads.stored import MIXED, Stored
from tests.workloads.test_unlearn import add_aggregate

ASKED = Personalize()
Float64 = NDArray[np.float64]
EXAMPLES = [1.0, 2, 3, 4, 5, 6]


def stored(rows: Float64, base: Float64 | None = None, aggregate: Float64 | None = None) -> Stored:
    names = [f"c{row}" for row in range(len(rows))]
    data = make_round(rows, names, number=1, base=base, examples=EXAMPLES[: len(rows)])
    rounds: list[RoundData] = [data]
    models = {(1, name): row for name, row in zip(names, rows, strict=True)}
    if aggregate is not None:
        add_aggregate(rounds, models, 1, aggregate)
    return Stored(MIXED, rounds, models)


def two_groups(seed: int = 0) -> Float64:
    """Return six updates, the first, third and fifth along one direction, the others against it."""
    rng = np.random.default_rng(seed)
    direction = rng.standard_normal(MIXED.parameters)
    signs = np.array([1, -1, 1, -1, 1, -1.0])[:, None]
    rows: Float64 = (signs * direction + 0.1 * rng.standard_normal((6, MIXED.parameters))).astype(np.float16)
    return rows.astype(np.float64)


@pytest.mark.parametrize("slices", [1, 2, 5])
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_each_group_gets_its_fedavg_mixed_with_the_global_model(slices: int, share: float) -> None:
    rows = two_groups()
    rounds = stored(rows)
    answer = rounds.ask(ASKED, slices, global_share=share)
    whole = np.average(rows, axis=0, weights=EXAMPLES)
    assert [model.clients for model in answer.models] == [["c0", "c2", "c4"], ["c1", "c3", "c5"]]
    assert answer.labels == {f"c{row}": row % 2 for row in range(6)}
    for index, model in enumerate(answer.models):
        own = np.average(rows[index::2], axis=0, weights=EXAMPLES[index::2])
        expected = (1 - share) * own + share * whole
        np.testing.assert_allclose(rounds.artifacts.written[index], expected, atol=2e-2)
        exact = slice(25, 325)  # the float32 tensor, after the float64 one
        np.testing.assert_allclose(rounds.artifacts.written[index][exact], expected[exact], atol=1e-6)
        assert model.distance == pytest.approx(np.linalg.norm(expected - whole), rel=1e-2, abs=1e-5)
        assert model.num_examples == sum(EXAMPLES[index::2])


def test_a_stored_aggregate_is_the_global_model() -> None:
    rows, aggregate = two_groups(), np.ones(MIXED.parameters)
    rounds = stored(rows, aggregate=aggregate)
    rounds.ask(ASKED, global_share=1.0)
    np.testing.assert_array_equal(rounds.artifacts.written[0], aggregate)


def test_slices_change_nothing() -> None:
    one, many = stored(two_groups(1)), stored(two_groups(1))
    first, second = one.ask(ASKED, 1, global_share=0.5), many.ask(ASKED, 5, global_share=0.5)
    for mine, other in zip(one.artifacts.written, many.artifacts.written, strict=True):
        np.testing.assert_allclose(mine, other, atol=1e-6)
    distances = [[model.distance for model in answer.models] for answer in (first, second)]
    np.testing.assert_allclose(distances[0], distances[1], rtol=1e-6)


def test_one_client_equal_updates_and_zero_deltas_make_one_group() -> None:
    row = two_groups()[0]
    for rows, base in ((row[None], None), (np.tile(row, (4, 1)), None), (np.tile(row, (4, 1)), row)):
        rounds = stored(rows, base)
        (model,) = rounds.ask(ASKED).models
        assert (len(model.clients), model.distance) == (len(rows), pytest.approx(0, abs=1e-3))
        np.testing.assert_allclose(rounds.artifacts.written[0], row, atol=2e-2)


def test_more_groups_than_clients_are_refused() -> None:
    with pytest.raises(NotEnoughData, match="cannot form 7 clusters"):
        stored(two_groups()).ask(ASKED, clusters=7)


def test_progress_is_told() -> None:
    told: list[tuple[int, int]] = []
    params = ASKED.params(clusters=2)
    stored(two_groups()).ask_with(ASKED, params, progress=lambda done, total: told.append((done, total)))
    assert told == [(0, 2), (1, 2)]


def test_clients_with_other_labels_are_served_better_by_their_groups_model() -> None:
    """Two planted groups of digits: half of the clients have their labels turned around, 9 for 0, 8 for 1, …"""
    sites = Sites.of(Setting(clients=6, per_round=6, alpha=100.0, epochs=20))
    turned = replace(sites, labels=9 - sites.labels)
    base = sites.start
    groups = [sites if client % 2 == 0 else turned for client in range(6)]
    rows = np.array([base + group.delta(base, client, 20) for client, group in enumerate(groups)])
    data = make_round(rows, number=1, base=base)
    rounds = Stored(schema_of(rows.shape[1]), [data], {(1, f"c{client}"): row for client, row in enumerate(rows)})
    answer = rounds.ask(ASKED)
    assert [model.clients for model in answer.models] == [["c0", "c2", "c4"], ["c1", "c3", "c5"]]
    models = [written.astype(np.float64) for written in rounds.artifacts.written]
    whole = rows.mean(axis=0)
    for model, group in zip(models, (sites, turned), strict=True):
        assert group.accuracy(model) > group.accuracy(whole) + 0.2
