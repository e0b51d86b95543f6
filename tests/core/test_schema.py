"""Schemas: canonical order, the flat vector cut from a file's bytes, slices that tile it, and what differs named."""

import itertools
import json
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters, SchemaMismatch
from flstore_core.schema import FLOATS, ITEMSIZE, Run, Schema, Segment, TensorSpec

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8).filter(lambda name: name != "__metadata__")
specs = st.builds(
    TensorSpec, names, st.sampled_from(list(ITEMSIZE)), st.lists(st.integers(0, 5), max_size=3).map(tuple)
)
schemas = st.lists(specs, max_size=8, unique_by=lambda tensor: tensor.name).map(Schema.of)

EXAMPLE = Schema.of(
    [
        TensorSpec("bias", "F32", (3,)),
        TensorSpec("weight", "F32", (2, 3)),
        TensorSpec("batches", "I64", ()),
        TensorSpec("half", "F16", (4,)),
        TensorSpec("mask", "BOOL", (5,)),
        TensorSpec("wide", "F64", (2,)),
    ]
)
"""Canonical: batches (I64) 8 bytes, wide (F64) 16, bias 12, weight 24, half (F16) 8, mask 5: 73 bytes."""


def test_tensors_lie_by_descending_dtype_then_by_name() -> None:
    assert [tensor.name for tensor in EXAMPLE.tensors] == ["batches", "wide", "bias", "weight", "half", "mask"]
    assert (EXAMPLE.nbytes, EXAMPLE.parameters) == (73, 15)


def test_the_flat_vector_skips_integers_and_merges_tensors_of_one_dtype() -> None:
    assert EXAMPLE.segments == (
        Segment("wide", 0, 2),
        Segment("bias", 2, 5),
        Segment("weight", 5, 11),
        Segment("half", 11, 15),
    )
    assert EXAMPLE.runs(0, 15) == (Run(0, 2, "F64", 8), Run(2, 9, "F32", 24), Run(11, 4, "F16", 60))


def test_the_tensors_outside_the_vector_are_named_in_the_order_in_which_they_were_given() -> None:
    tensors = [TensorSpec("mask", "BOOL", (2,)), TensorSpec("w", "F32", (1,)), TensorSpec("n", "I64", ())]
    assert Schema.of(tensors).outside == ("mask", "n")
    assert Schema.of(reversed(tensors)).outside == ("n", "mask")
    assert Schema.of([TensorSpec("w", "BF16", (1,))]).outside == ()


@pytest.mark.parametrize(
    ("bounds", "runs"),
    [
        ((0, 0), ()),
        ((1, 4), (Run(1, 1, "F64", 16), Run(2, 2, "F32", 24))),
        ((4, 12), (Run(4, 7, "F32", 32), Run(11, 1, "F16", 60))),
        ((14, 99), (Run(14, 1, "F16", 66),)),
    ],
)
def test_a_range_is_cut_from_its_runs(bounds: tuple[int, int], runs: tuple[Run, ...]) -> None:
    assert EXAMPLE.runs(*bounds) == runs


@given(schemas, st.integers(1, 9))
def test_slices_tile_the_vector_and_their_sizes_differ_by_one_at_most(schema: Schema, slices: int) -> None:
    bounds = [schema.slice_bounds(index, slices) for index in range(slices)]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == schema.parameters
    assert all(before[1] == after[0] for before, after in itertools.pairwise(bounds))
    sizes = [stop - start for start, stop in bounds]
    assert max(sizes) - min(sizes) <= 1


@given(schemas, st.integers(1, 5))
def test_slices_take_every_byte_of_the_vector_once(schema: Schema, slices: int) -> None:
    taken: list[int] = []
    for index in range(slices):
        for run in schema.runs(*schema.slice_bounds(index, slices)):
            taken.extend(range(run.offset, run.offset + run.nbytes))
    expected: list[int] = []
    offset = 0
    for tensor in schema.tensors:
        if tensor.dtype in FLOATS:
            expected.extend(range(offset, offset + tensor.nbytes))
        offset += tensor.nbytes
    assert taken == expected
    assert sum(schema.slice_nbytes(index, slices) for index in range(slices)) == len(expected)


@given(st.integers(0, 50), st.integers(0, 20), st.sampled_from(sorted(FLOATS)), st.integers(0, 60), st.integers(0, 60))
def test_clipping_keeps_the_elements_within_the_bounds(start: int, count: int, dtype: str, low: int, high: int) -> None:
    run = Run(start, count, dtype, 1000)
    inside = [element for element in range(start, start + count) if low <= element < high]
    clipped = run.clip(low, high)
    if not inside:
        assert clipped is None
        return
    assert clipped is not None
    assert (clipped.start, clipped.count) == (inside[0], len(inside))
    assert clipped.offset == 1000 + (inside[0] - start) * ITEMSIZE[dtype]


@given(schemas)
def test_a_schema_comes_back_from_its_json(schema: Schema) -> None:
    back = Schema.from_json(json.loads(json.dumps(schema.to_json())))
    assert back == schema
    assert back.digest == schema.digest


@given(st.lists(specs, max_size=6, unique_by=lambda tensor: tensor.name), st.randoms())
def test_the_order_of_the_tensors_does_not_matter(tensors: list[TensorSpec], random: Random) -> None:
    shuffled = tensors[:]
    random.shuffle(shuffled)
    assert Schema.of(shuffled) == Schema.of(tensors)


@given(schemas, schemas)
def test_digests_are_equal_just_for_equal_schemas(one: Schema, other: Schema) -> None:
    assert (one.digest == other.digest) == (one == other)


@pytest.mark.parametrize("change", [{"name": "x"}, {"dtype": "F64"}, {"shape": (3, 1)}, {"shape": (4,)}])
def test_the_digest_changes_with_name_dtype_and_shape(change: dict[str, object]) -> None:
    plain = {"name": "w", "dtype": "F32", "shape": (3,)}
    assert Schema.from_json([plain]).digest != Schema.from_json([{**plain, **change}]).digest


def test_equal_schemas_are_accepted() -> None:
    EXAMPLE.check(Schema.of(reversed(EXAMPLE.tensors)))


@pytest.mark.parametrize(
    ("tensors", "message", "extensions"),
    [
        ([("a", "F32", (2,))], "tensor 'b' is missing (1 missing in all)", {"missing": ["b"]}),
        (
            [("a", "F32", (2,)), ("b", "I64", ()), ("z", "F32", ()), ("y", "F32", ())],
            "tensor 'y' is not in the schema (2 extra in all)",
            {"extra": ["y", "z"]},
        ),
        ([("a", "F16", (2,)), ("b", "I64", ())], "tensor 'a' is F16 [2]; the schema expects F32 [2]", {"tensor": "a"}),
        (
            [("a", "F32", (1, 2)), ("b", "I64", ())],
            "tensor 'a' is F32 [1, 2]; the schema expects F32 [2]",
            {"tensor": "a"},
        ),
    ],
)
def test_what_differs_is_named(
    tensors: list[tuple[str, str, tuple[int, ...]]], message: str, extensions: dict[str, object]
) -> None:
    schema = Schema.of([TensorSpec("a", "F32", (2,)), TensorSpec("b", "I64", ())])
    with pytest.raises(SchemaMismatch) as caught:
        schema.check(Schema.of(TensorSpec(*tensor) for tensor in tensors))
    assert caught.value.detail == message
    assert caught.value.extensions == extensions


@given(schemas, schemas)
def test_a_check_fails_just_where_schemas_differ(one: Schema, other: Schema) -> None:
    if one == other:
        one.check(other)
        return
    with pytest.raises(SchemaMismatch, match="tensor"):
        one.check(other)


@pytest.mark.parametrize(
    ("tensor", "message"),
    [
        (("w", "F8", (1,)), "dtype 'F8' is not one of BOOL"),
        (("w", "f32", (1,)), "dtype 'f32' is not one of"),
        (("w", "F32", (-1,)), r"shape \(-1,\) is not usable"),
        (("w", "F32", (1,) * 33), "is not usable"),
        (("w", "F32", (2**49,)), "is not usable"),
        (("w", "F32", (2**30, 2**30)), "is over 281474976710656 bytes"),
    ],
)
def test_impossible_tensors_are_refused(tensor: tuple[str, str, tuple[int, ...]], message: str) -> None:
    with pytest.raises(InvalidParameters, match=message):
        TensorSpec(*tensor)


def test_doubled_and_reserved_names_are_refused() -> None:
    with pytest.raises(InvalidParameters, match=r"must be distinct; doubled: \['a'\]"):
        Schema.of([TensorSpec("a", "F32", ()), TensorSpec("a", "I64", ()), TensorSpec("b", "F32", ())])
    with pytest.raises(InvalidParameters, match="'__metadata__' cannot be a tensor's name"):
        Schema.of([TensorSpec("__metadata__", "F32", ())])


def test_the_largest_tensor_is_allowed() -> None:
    assert TensorSpec("w", "F32", (2**46,)).nbytes == 2**48
