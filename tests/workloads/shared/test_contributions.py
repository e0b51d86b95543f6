"""Contributions to a round's direction by each of the four methods, and their order."""

import numpy as np
import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.workloads import no_progress
from flstore_core.workloads.methods.cosine_gradient_shapley import agreement, projections
from flstore_core.workloads.methods.shapley import exact, leave_one_out
from flstore_core.workloads.shared.contributions import ContributionParams, measure, rank_contributions
from tests.workloads.methods.arrays import gram_of, vectors
from tests.workloads.rounds import make_round

ROWS = vectors(6, 20, 0, shift=0.4)
GRAM, WEIGHTS = gram_of(ROWS), np.array([0.1, 0.2, 0.3, 0.1, 0.2, 0.1])


def test_each_method_is_the_one_named() -> None:
    utility = agreement(GRAM, WEIGHTS)
    expected = {
        "alignment": projections(GRAM, WEIGHTS),
        "leave-one-out": leave_one_out(utility, 6),
        "shapley": exact(utility, 6),
    }
    for method, values in expected.items():
        found = measure(GRAM, WEIGHTS, ContributionParams(method=method))  # type: ignore[arg-type]
        np.testing.assert_array_equal(found.values, values)
        assert not found.errors.any()


def test_the_estimate_comes_near_the_exact_values_and_reports_its_progress() -> None:
    steps: list[tuple[int, int]] = []
    params = ContributionParams(method="monte-carlo", permutations=2000, seed=1)
    found = measure(GRAM, WEIGHTS, params, lambda done, total: steps.append((done, total)))
    truth = measure(GRAM, WEIGHTS, ContributionParams(method="shapley")).values
    assert np.abs((found.values - truth) / found.errors).max() < 4
    assert steps[-1] == (2000, 2000)


def test_a_tolerance_of_one_counts_the_first_gain_of_each_permutation_only() -> None:
    params = ContributionParams(method="monte-carlo", permutations=500, tolerance=1.0)
    alone = agreement(GRAM, WEIGHTS)(np.eye(6, dtype=bool))
    found = measure(GRAM, WEIGHTS, params).values
    assert found.sum() == pytest.approx(alone.mean(), rel=0.1)


@pytest.mark.parametrize("players", [12, 13])
def test_exact_values_are_for_up_to_twelve_clients(players: int) -> None:
    gram, params = gram_of(vectors(players, 20, 1)), ContributionParams(method="shapley")
    weights = np.full(players, 1 / players)
    if players == 12:
        assert measure(gram, weights, params).values.sum() == pytest.approx(1.0)
    else:
        with pytest.raises(InvalidParameters, match=r"13 clients need 2\^13 coalitions; up to 12.*monte-carlo"):
            measure(gram, weights, params)


def test_clients_are_ranked_with_equals_in_the_rounds_order_and_weighed_by_examples() -> None:
    data = make_round(np.array([[1.0, 0, 0], [1, 0, 0], [-1, 0, 0], [1, 0, 0]]), examples=[1, 3, 1, 1])
    ranked = rank_contributions(data, ContributionParams(), no_progress)
    assert [each.client for each in ranked] == ["c1", "c0", "c3", "c2"]
    assert [each.value for each in ranked] == pytest.approx([0.75, 0.25, 0.25, -0.25])
    assert [each.standard_error for each in ranked] == [0.0] * 4


def test_only_the_named_clients_are_measured() -> None:
    data = make_round(np.eye(3))
    ranked = rank_contributions(data, ContributionParams(clients=["c2", "c0"]), no_progress)
    assert [each.client for each in ranked] == ["c2", "c0"]
    assert [each.value for each in ranked] == pytest.approx([0.5, 0.5])
