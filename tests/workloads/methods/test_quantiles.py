"""Quantiles from sketches, against NumPy's, and sketches of parts against those of the whole."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core.workloads.methods.quantiles import Sketch, merge, quantile, sketch
from tests.workloads.methods.arrays import Float32, seeds

MANY = pytest.mark.parametrize("many", [False, True], ids=["sorted", "counted"])
SHARES = np.array([0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0])

numbers = st.floats(-(2.0**100), 2.0**100, width=32, allow_subnormal=False)


def mixed(count: int, seed: int) -> Float32:
    """Return values of several magnitudes and signs, with zeros and repetitions."""
    rng = np.random.default_rng(seed)
    values = rng.standard_normal(count).round(2) * rng.choice([0, 1e-3, 1, 1e3], count)
    return np.asarray(values, np.float32)


def quantiles_of(values: Float32, many: bool, shares: NDArray[np.float64] = SHARES) -> NDArray[np.float64]:
    return quantile(sketch(values, many=many), shares, float(values.min()), float(values.max()))


def assert_equal(one: Sketch, other: Sketch) -> None:
    for name in ("low", "high", "count"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))


@MANY
@given(count=st.integers(1, 2000), seed=seeds, parts=st.integers(1, 6))
def test_sketches_of_parts_merge_to_the_sketch_of_the_whole(many: bool, count: int, seed: int, parts: int) -> None:
    values = np.append(mixed(count, seed), [-0.0, 0.0, 3e38, -3e38]).astype(np.float32)
    assert_equal(merge([sketch(part, many=many) for part in np.array_split(values, parts)]), sketch(values, many=many))


@MANY
@given(count=st.integers(1, 200), seed=seeds)
def test_the_order_of_values_and_of_parts_does_not_matter(many: bool, count: int, seed: int) -> None:
    values = mixed(count, seed)
    shuffled = np.random.default_rng(seed).permutation(values)
    assert_equal(sketch(shuffled, many=many), sketch(values, many=many))
    parts = [sketch(part, many=many) for part in np.array_split(values, 3)]
    assert_equal(merge(parts[::-1]), merge(parts))
    assert_equal(merge([merge(parts[:2]), parts[2]]), merge(parts))


@MANY
@given(count=st.integers(1, 500), seed=seeds)
def test_a_sketch_counts_every_value_within_its_bounds(many: bool, count: int, seed: int) -> None:
    values = mixed(count, seed)
    found = sketch(values, many=many)
    assert found.count.sum() == count
    assert (found.low <= found.high).all()
    assert (found.low[1:] > found.high[:-1]).all()
    for low, high, number in zip(found.low, found.high, found.count, strict=True):
        assert ((values >= low) & (values <= high)).sum() == number


@MANY
@given(values=st.lists(numbers, min_size=1, max_size=100), share=st.floats(0, 1))
def test_a_quantile_lies_within_a_128th_of_the_values_beside_it(many: bool, values: list[float], share: float) -> None:
    array = np.array(values, np.float32)
    found = float(quantiles_of(array, many, np.array([share]))[0])
    below = float(np.quantile(array.astype(np.float64), share, method="lower"))
    above = float(np.quantile(array.astype(np.float64), share, method="higher"))
    room = max(abs(below), abs(above)) / 128 + 1e-40
    assert below - room <= found <= above + room


@MANY
def test_many_values_have_numpys_quantiles(many: bool) -> None:
    values = np.random.default_rng(0).standard_normal(100_000).astype(np.float32)
    np.testing.assert_allclose(quantiles_of(values, many), np.quantile(values, SHARES), rtol=1 / 128, atol=1e-4)


def test_values_in_stretches_of_their_own_are_interpolated_like_numpys() -> None:
    values = np.array([8.0, 1.0, 4.0, 2.0], np.float32)
    np.testing.assert_allclose(quantiles_of(values, False), np.quantile(values, SHARES))


@MANY
@pytest.mark.parametrize("value", [0.0, -0.3, 7.5, 3e38, -1e-30])
def test_equal_values_are_found_exactly(many: bool, value: float) -> None:
    values = np.full(50, value, np.float32)
    assert quantiles_of(values, many).tolist() == [float(np.float32(value))] * len(SHARES)


@MANY
def test_extremes_are_exact(many: bool) -> None:
    values = mixed(300, 1)
    lowest, highest = quantiles_of(values, many, np.array([0.0, 1.0]))
    assert (lowest, highest) == (values.min(), values.max())


@MANY
def test_minus_zero_is_zero(many: bool) -> None:
    found = sketch(np.array([-0.0, 0.0, -0.0], np.float32), many=many)
    assert (found.low.tolist(), found.high.tolist(), found.count.tolist()) == ([0.0], [0.0], [3])


@MANY
def test_no_values_make_an_empty_sketch_that_changes_no_other(many: bool) -> None:
    nothing, some = sketch(np.empty(0, np.float32), many=many), sketch(mixed(9, 0), many=many)
    assert len(nothing.count) == 0
    assert_equal(merge([nothing, some]), some)


def test_counting_takes_values_of_any_byte_order_and_more_than_a_block() -> None:
    values = np.tile(np.arange(8, dtype=np.float32), 70_000)
    assert sketch(values, many=True).count.tolist() == [70_000] * 8
    assert_equal(sketch(values.astype(">f4"), many=True), sketch(values, many=True))


@MANY
@given(count=st.integers(1, 200), seed=seeds)
def test_quantiles_rise_with_their_shares(many: bool, count: int, seed: int) -> None:
    found = quantiles_of(mixed(count, seed), many, np.linspace(0, 1, 33))
    assert (np.diff(found) >= 0).all()


@MANY
@given(count=st.integers(1, 100), seed=seeds)
def test_negative_values_mirror_positive_ones(many: bool, count: int, seed: int) -> None:
    values = mixed(count, seed)
    found, mirrored = quantiles_of(values, many), quantiles_of(-values, many)
    room = np.abs(values).max() * (1 / 64 if many else 1e-6)
    np.testing.assert_allclose(mirrored, -found[::-1], rtol=0, atol=room)
