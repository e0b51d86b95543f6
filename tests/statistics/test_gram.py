"""Statistics against float64 NumPy."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from flstore_core import flat
from flstore_core.flat import FlatView
from flstore_core.ids import ClientId
from flstore_core.schema import Schema, TensorSpec
from flstore_core.statistics import RoundStatistics, border

Vector = NDArray[np.float64]
PROMISED = 1e-6
"""Greatest relative error of statistics."""
SHAPES = {"a": (137, 91), "b": (8192,), "c": (3,), "d": (20_000,), "empty": (0,)}


def schema_of(*dtypes: str) -> Schema:
    """Return `SHAPES` with the dtypes in turn, and a tensor that is no part of the vector."""
    specs = [TensorSpec(n, dtypes[i % len(dtypes)], shape) for i, (n, shape) in enumerate(SHAPES.items())]
    return Schema.of([*specs, TensorSpec("steps", "I64", (5,))])


def view(schema: Schema, values: Vector, start: int = 0, stop: int | None = None) -> tuple[FlatView, Vector]:
    """Return a view of `values`, kept in the schema's dtypes, and what they then are as float64."""
    stop = schema.parameters if stop is None else stop
    runs = schema.runs(start, stop)
    pieces, exact = [], values.copy()
    for run in runs:
        raw = flat.from_float32(values[run.start :][: run.count].astype(np.float32), run.dtype)
        if run.dtype == "F64":
            raw = values[run.start :][: run.count]
        wide = flat.widen_bfloat16(raw) if run.dtype == "BF16" else raw
        exact[run.start : run.start + run.count] = wide
        pieces.append(raw.tobytes())
    return FlatView(memoryview(b"".join(pieces)), runs), exact


def close(found: Vector, deltas: Vector, tolerance: float = PROMISED / 10) -> None:
    """Check inner products against float64, the error scaled by the norms; by default with a margin of ten."""
    expected = deltas @ deltas.T
    norms = np.sqrt(expected.diagonal())
    np.testing.assert_array_less(np.abs(found - expected), tolerance * np.outer(norms, norms) + 1e-300)


@pytest.mark.parametrize("dtypes", [["F32"], ["F16"], ["BF16"], ["F64"], ["F32", "F16", "F64", "BF16"]])
@pytest.mark.parametrize("distance", [1.0, 1e-3])
@pytest.mark.parametrize("based", [True, False])
def test_gram_and_norms_are_those_of_float64(dtypes: list[str], distance: float, based: bool) -> None:
    schema = schema_of(*dtypes)
    rng = np.random.default_rng(len(dtypes))
    base, origin = view(schema, rng.standard_normal(schema.parameters))
    made = [view(schema, origin + distance * rng.standard_normal(schema.parameters)) for _ in range(4)]
    deltas = np.array([exact - origin if based else exact for _, exact in made])
    products, squares = border([], [each for each, _ in made], base if based else None, schema.segments)
    close(products, deltas)
    expected = [[np.square(row[s.start : s.stop]).sum() for s in schema.segments] for row in deltas]
    np.testing.assert_allclose(squares, expected, rtol=PROMISED / 10)


@pytest.mark.parametrize("value", [0.1, 0.3, 0.01])
def test_equal_elements_add_up_as_well_as_others(value: float) -> None:
    """Each sum is rounded the same way then, so that errors of a short type add up instead of cancelling."""
    schema = Schema.of([TensorSpec("bias", "F32", (8192,)), TensorSpec("more", "F32", (3 * 8192,))])
    made, exact = view(schema, np.full(schema.parameters, value))
    close(border([], [made], None, schema.segments)[0], exact[None, :])


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F64"])
def test_rows_that_are_deltas_already_are_multiplied_as_they_came(dtype: str) -> None:
    schema = schema_of(dtype)
    base, *models = np.random.default_rng(5).integers(-8, 8, (5, schema.parameters)).astype(np.float64)
    origin, *updates = (view(schema, row)[0] for row in (base, *models))
    differences = [view(schema, row - base)[0] for row in models]
    sent = [differences[0], updates[1], differences[2], updates[3]]
    expected = border(updates[:2], updates[2:], origin, schema.segments)
    found = border(sent[:2], sent[2:], origin, schema.segments, are_deltas=[True, False] * 2)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@given(st.integers(0, 2**32), st.lists(st.integers(0, 40_762), max_size=4))
@settings(max_examples=25, deadline=None)
def test_any_cut_adds_up_to_the_whole(seed: int, cuts: list[int]) -> None:
    schema = schema_of("F32", "F16")
    rng = np.random.default_rng(seed)
    values = rng.standard_normal((4, schema.parameters))
    base, *rows = (view(schema, row) for row in values)
    deltas = np.array([exact - base[1] for _, exact in rows])
    borders = sorted({0, schema.parameters, *(min(cut, schema.parameters) for cut in cuts)})
    parts = []
    for start, stop in pairwise(borders):
        clipped = [view(schema, row, start, stop)[0] for row in values]
        parts.append(border([], clipped[1:], clipped[0], schema.segments))
    close(np.sum([products for products, _ in parts], axis=0), deltas)
    whole = border([], [each for each, _ in rows], base[0], schema.segments)
    np.testing.assert_allclose(np.sum([squares for _, squares in parts], axis=0), whole[1], rtol=PROMISED / 10)
    pieces = [border([], [each for each, _ in rows], base[0], schema.segments, bounds) for bounds in pairwise(borders)]
    close(np.sum([products for products, _ in pieces], axis=0), deltas)


def test_row_by_row_is_the_same_as_at_once() -> None:
    schema = schema_of("F32")
    rng = np.random.default_rng(3)
    rows = [view(schema, rng.standard_normal(schema.parameters))[0] for _ in range(5)]
    at_once, _ = border([], rows, None, schema.segments)
    for index in range(5):
        row, _ = border(rows[:index], rows[index : index + 1], None, schema.segments)
        np.testing.assert_allclose(row[0], at_once[index, : index + 1], rtol=PROMISED / 10)
    two, squares = border(rows[:3], rows[3:], None, schema.segments)
    np.testing.assert_allclose(two, at_once[3:], rtol=PROMISED / 10)
    np.testing.assert_allclose(squares.sum(axis=1), at_once.diagonal()[3:], rtol=PROMISED / 10)


def test_an_update_that_is_its_base_has_no_length() -> None:
    schema = schema_of("F32", "F16", "F64")
    base, _ = view(schema, np.random.default_rng(0).standard_normal(schema.parameters))
    products, squares = border([], [base, base], base, schema.segments)
    assert not products.any()
    assert not squares.any()


def test_nothing_new_adds_nothing() -> None:
    schema = schema_of("F32")
    known = [view(schema, np.ones(schema.parameters))[0]]
    products, squares = border(known, [], None, schema.segments)
    assert products.shape == (0, 1)
    assert squares.shape == (0, len(schema.segments))


@pytest.mark.parametrize("size", [1e30, 3e38, 1e-25, 1e-40])
@pytest.mark.parametrize("based", [True, False])
def test_one_extreme_update_spoils_no_statistics(size: float, based: bool) -> None:
    schema = schema_of("F32")
    rng = np.random.default_rng(1)
    usual = rng.uniform(-1, 1, (2, schema.parameters))
    extreme = size * np.sign(rng.standard_normal(schema.parameters))
    base, origin = view(schema, -extreme if based else np.zeros(schema.parameters))
    made = [view(schema, row) for row in (*usual, extreme)]
    deltas = np.array([exact - origin for _, exact in made])
    products, _ = border([], [each for each, _ in made], base if based else None, schema.segments)
    assert np.isfinite(products).all()
    close(products, deltas)


def test_statistics_travel_and_are_picked_from() -> None:
    names = tuple(map(ClientId, ("b", "a", "aggregate")))
    gram, squares = np.arange(9.0).reshape(3, 3), np.arange(6.0).reshape(3, 2)
    kept = RoundStatistics.from_bytes(RoundStatistics(names, gram, squares).to_bytes())
    assert kept.members == names
    assert kept.clients == ("b", "a")
    np.testing.assert_array_equal(kept.gram, gram)
    taken = kept.take([names[1], names[0]])
    np.testing.assert_array_equal(taken.gram, [[4, 3], [1, 0]])
    np.testing.assert_array_equal(taken.squares, [[2, 3], [0, 1]])
    np.testing.assert_array_equal(RoundStatistics.add_up([kept, kept]).gram, 2 * gram)
    with pytest.raises(KeyError):
        kept.take([ClientId("c")])
    with pytest.raises(ValueError, match="disagree"):
        kept + taken


def test_the_example_in_the_text() -> None:
    """Base (1, 1), updates (2, 1) and (1, 3) in the matrix, and (3, 2) arrives; each element is a tensor."""
    schema = Schema.of([TensorSpec("x", "F32", (1,)), TensorSpec("y", "F32", (1,))])
    base, one, two, new = (view(schema, np.array(pair))[0] for pair in ([1.0, 1], [2.0, 1], [1.0, 3], [3.0, 2]))
    known, _ = border([], [one, two], base, schema.segments)
    assert known.tolist() == [[1, 0], [0, 4]]
    products, squares = border([one, two], [new], base, schema.segments)
    assert (products.tolist(), squares.tolist()) == ([[2, 2, 5]], [[4, 1]])


@given(st.integers(1, 4), st.floats(0.25, 4), st.integers(0, 2**32))
@settings(max_examples=20, deadline=None)
def test_products_grow_with_the_square_of_the_scale_and_ignore_a_common_shift(
    count: int, factor: float, seed: int
) -> None:
    schema = Schema.of([TensorSpec("w", "F64", (50,))])
    rng = np.random.default_rng(seed)
    base, *rows = rng.standard_normal((count + 1, 50))

    def products(scale: float, shift: float) -> Vector:
        origin, *updates = (view(schema, scale * row + shift)[0] for row in (base, *rows))
        return border([], updates, origin, schema.segments)[0]

    np.testing.assert_allclose(products(factor, 0.0), factor**2 * products(1.0, 0.0), rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(products(1.0, 3.0), products(1.0, 0.0), rtol=1e-4, atol=1e-4)


@given(st.permutations(range(4)))
@settings(max_examples=10, deadline=None)
def test_the_order_of_updates_only_reorders_the_matrix(order: list[int]) -> None:
    schema = schema_of("F32")
    rows = [view(schema, row)[0] for row in np.random.default_rng(8).standard_normal((4, schema.parameters))]
    straight, squares = border([], rows, None, schema.segments)
    shuffled, mixed = border([], [rows[place] for place in order], None, schema.segments)
    np.testing.assert_allclose(shuffled, straight[np.ix_(order, order)], rtol=PROMISED / 10)
    np.testing.assert_allclose(mixed, squares[order], rtol=PROMISED / 10)


def test_the_matrix_is_symmetric_and_has_no_negative_squares() -> None:
    schema = schema_of("F32", "F16")
    rows = [view(schema, row)[0] for row in np.random.default_rng(9).standard_normal((5, schema.parameters))]
    gram, _ = border([], rows, rows[0], schema.segments)
    np.testing.assert_allclose(gram, gram.T, rtol=PROMISED / 10)
    assert gram[0].tolist() == pytest.approx([0.0] * 5, abs=1e-6)
    assert np.linalg.eigvalsh(gram).min() > -1e-2
