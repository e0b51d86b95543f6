"""A round's statistics: from slices, through their file, and for some of the members."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flstore_core.ids import AGGREGATE, ClientId
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


@given(st.integers(1, 5), st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_the_order_in_which_slices_add_does_not_matter(slices: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    parts = [statistics(rng.standard_normal((3, 30)), ["a", "b", "c"]) for _ in range(slices)]
    forwards, backwards = RoundStatistics.add_up(parts), RoundStatistics.add_up(parts[::-1])
    np.testing.assert_allclose(backwards.gram, forwards.gram, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(backwards.squares, forwards.squares, rtol=1e-12)


def test_squares_of_the_tensors_add_up_to_the_squared_lengths() -> None:
    kept = statistics(np.random.default_rng(0).standard_normal((4, 300)), ["a", "b", "c", "d"])
    np.testing.assert_allclose(kept.squares.sum(axis=1), kept.gram.diagonal(), rtol=1e-6)


@given(st.permutations(["a", "b", "c", "d"]), st.integers(1, 4))
def test_taking_in_two_steps_is_taking_at_once(order: list[str], count: int) -> None:
    kept = statistics(np.random.default_rng(0).standard_normal((4, 12)), ["a", "b", "c", "d"])
    wanted = [ClientId(name) for name in order[:count]]
    by_name = kept.take(list(map(ClientId, order))).take(wanted)
    np.testing.assert_array_equal(by_name.gram, kept.take(wanted).gram)
    np.testing.assert_array_equal(by_name.squares, kept.take(wanted).squares)


def test_taking_all_members_in_their_order_copies_nothing() -> None:
    kept = statistics(np.eye(3), ["a", "b", "c"])
    assert kept.take(kept.members) is kept
    assert kept.take([]).gram.shape == (0, 0)


def test_the_aggregate_is_a_member_and_no_client() -> None:
    kept = statistics(np.eye(3), ["a", "b", AGGREGATE])
    assert (kept.members, kept.clients) == (("a", "b", AGGREGATE), ("a", "b"))


def test_its_size_is_that_of_its_arrays_and_its_file_little_more() -> None:
    kept = statistics(np.ones((10, 30)), [f"client-{row}" for row in range(10)])
    assert kept.nbytes == 8 * (10 * 10 + 10 * 2)
    assert kept.nbytes < len(kept.to_bytes()) < kept.nbytes + 600
