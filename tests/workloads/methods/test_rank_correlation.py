"""Rank correlations against SciPy's, and the partial one against residuals of a regression."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata, spearmanr

from flstore_core.workloads.methods.rank_correlation import partial_correlation, rank_correlation, ranks
from tests.workloads.methods.arrays import Float64, seeds

tied = st.lists(st.integers(0, 6), min_size=3, max_size=20)


@given(tied)
def test_equal_values_share_the_mean_of_their_ranks(values: list[int]) -> None:
    np.testing.assert_array_equal(ranks(np.array(values, float)), rankdata(values))


@given(tied, seeds)
def test_the_correlation_is_spearmans(values: list[int], seed: int) -> None:
    first = np.array(values, float)
    second = np.random.default_rng(seed).integers(0, 5, len(values)).astype(float)
    found = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert found is None
    else:
        assert found == pytest.approx(spearmanr(first, second).statistic, abs=1e-12)


def test_any_rising_relation_has_correlation_one_and_any_falling_one_minus_one() -> None:
    values = np.array([0.1, 0.5, 2.0, 9.0])
    assert rank_correlation(values, np.exp(values)) == pytest.approx(1.0)
    assert rank_correlation(values, -(values**3)) == pytest.approx(-1.0)


@pytest.mark.parametrize("constant", [np.ones(4), np.zeros(4)])
def test_what_does_not_vary_correlates_with_nothing(constant: Float64) -> None:
    assert rank_correlation(constant, np.arange(4.0)) is None
    assert rank_correlation(np.arange(4.0), constant) is None


def correlation(first: Float64, second: Float64) -> float:
    return float(np.corrcoef(first, second)[0, 1])


@given(seeds)
def test_the_partial_correlation_is_that_of_what_the_third_does_not_explain(seed: int) -> None:
    x, y, z = np.random.default_rng(seed).standard_normal((3, 12))
    fit = np.vander(z, 2)
    residuals = [values - fit @ np.linalg.lstsq(fit, values, rcond=None)[0] for values in (x, y)]
    found = partial_correlation(correlation(x, y), correlation(x, z), correlation(y, z))
    assert found == pytest.approx(correlation(*residuals), abs=1e-9)


def test_a_correlation_that_the_third_explains_vanishes() -> None:
    assert partial_correlation(0.25, 0.5, 0.5) == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("xy", "xz", "yz"), [(None, 0.5, 0.5), (0.5, None, 0.5), (0.5, 0.5, None), (0.5, 1.0, 0.5), (0.5, 0.5, -1.0)]
)
def test_there_is_none_where_one_is_missing_or_follows_from_the_third(
    xy: float | None, xz: float | None, yz: float | None
) -> None:
    assert partial_correlation(xy, xz, yz) is None
