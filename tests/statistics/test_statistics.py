"""The Gram matrix against float64, and slices against the whole."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.ids import ClientId
from flstore_core.statistics import RoundStatistics
from tests.workloads.rounds import schema_of, statistics


def test_inner_products_of_deltas_agree_with_float64_to_a_millionth() -> None:
    rng = np.random.default_rng(0)
    base = rng.standard_normal(200_000).astype(np.float32)
    rows = base + 0.01 * rng.standard_normal((4, 200_000)).astype(np.float32)
    found = statistics(rows, list("abcd"), base)
    deltas = (rows - base).astype(np.float64)
    expected = deltas @ deltas.T
    scale = np.sqrt(np.outer(expected.diagonal(), expected.diagonal()))
    assert np.abs(found.gram - expected).max() <= 1e-6 * scale.max()
    for column, segment in enumerate(schema_of(200_000).segments):
        part = (deltas[:, segment.start : segment.stop] ** 2).sum(axis=1)
        np.testing.assert_allclose(found.squares[:, column], part, rtol=1e-6)


@given(
    clients=st.integers(1, 5),
    parameters=st.integers(3, 400),
    slices=st.integers(1, 9),
    seed=st.integers(0, 2**32 - 1),
    with_base=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_any_number_of_slices_adds_up_to_the_whole(
    clients: int, parameters: int, slices: int, seed: int, with_base: bool
) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.standard_normal((clients, parameters)).astype(np.float32)
    base = rng.standard_normal(parameters).astype(np.float32) if with_base else None
    names = [f"c{row}" for row in range(clients)]
    whole, split = statistics(rows, names, base), statistics(rows, names, base, slices)
    tolerance = 1e-6 * float(whole.gram.diagonal().max())
    np.testing.assert_allclose(split.gram, whole.gram, rtol=0, atol=tolerance)
    np.testing.assert_allclose(split.squares, whole.squares, rtol=0, atol=tolerance)


def test_statistics_survive_their_file() -> None:
    rows = np.arange(12.0).reshape(2, 6)
    before = statistics(rows, ["b", "a"])
    after = RoundStatistics.from_bytes(before.to_bytes())
    assert after.members == before.members
    np.testing.assert_array_equal(after.gram, before.gram)
    np.testing.assert_array_equal(after.squares, before.squares)


def test_taking_members_reorders_rows_and_columns_alike() -> None:
    rows = np.array([[1.0, 0, 0], [0, 2, 0], [3, 3, 0]])
    taken = statistics(rows, ["a", "b", "c"]).take([ClientId("c"), ClientId("a")])
    np.testing.assert_array_equal(taken.gram, [[18, 3], [3, 1]])
    assert taken.members == ("c", "a")


def test_slices_of_different_rounds_do_not_add() -> None:
    one = statistics(np.ones((1, 3)), ["a"])
    with pytest.raises(ValueError, match="disagree"):
        one + statistics(np.ones((1, 3)), ["b"])
