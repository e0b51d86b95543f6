"""The codec against the safetensors library, which it must agree with byte for byte."""

import json
import struct
import tempfile
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors import TensorSpec as LibrarySpec
from safetensors import safe_open, serialize
from safetensors.numpy import load, save

from flstore_core import codec, flat
from flstore_core.errors import InvalidParameters, InvalidTensors, SchemaMismatch
from flstore_core.schema import FLOATS, ITEMSIZE, Schema, TensorSpec

LIBRARY_NAMES = {
    "BOOL": "bool", "U8": "uint8", "I8": "int8", "I16": "int16", "U16": "uint16", "F16": "float16", "BF16": "bfloat16",
    "I32": "int32", "U32": "uint32", "F32": "float32", "F64": "float64", "I64": "int64", "U64": "uint64",
}  # fmt: skip

names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12).filter(lambda name: name != "__metadata__")
shapes = st.lists(st.integers(0, 4), max_size=3).map(tuple)
specs = st.builds(TensorSpec, names, st.sampled_from(list(ITEMSIZE)), shapes)
schemas = st.lists(specs, max_size=8, unique_by=lambda tensor: tensor.name).map(Schema.of)
metadata = st.none() | st.dictionaries(st.text(max_size=5), st.text(max_size=5), min_size=1, max_size=3)


def payload(tensor: TensorSpec, seed: int) -> bytes:
    """Return finite values of a tensor."""
    rng = np.random.default_rng([seed, len(tensor.name), tensor.size])
    if tensor.dtype == "BOOL":
        return rng.integers(0, 2, tensor.size).astype("?").tobytes()
    if tensor.dtype == "BF16":
        return (rng.standard_normal(tensor.size).astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    if tensor.dtype in FLOATS:
        return rng.standard_normal(tensor.size).astype(flat.NUMPY_DTYPE[tensor.dtype]).tobytes()
    return rng.bytes(tensor.nbytes)


def library_file(schema: Schema, seed: int = 0, told: dict[str, str] | None = None) -> bytes:
    """Return a file of `schema` as the library writes it, given its tensors in the reverse order."""
    held = {t.name: np.frombuffer(payload(t, seed), np.uint8) for t in schema.tensors}
    tensors = {
        t.name: LibrarySpec(
            dtype=LIBRARY_NAMES[t.dtype], shape=t.shape, data_ptr=held[t.name].ctypes.data, data_len=t.nbytes
        )
        for t in reversed(schema.tensors)
    }
    return bytes(serialize(tensors, told))


def widened(tensor: TensorSpec, raw: bytes) -> NDArray[np.float32]:
    if tensor.dtype != "BF16":
        return np.frombuffer(raw, flat.NUMPY_DTYPE[tensor.dtype]).astype(np.float32)
    halves = np.frombuffer(raw, "<u2")
    return np.stack([np.zeros_like(halves), halves], axis=1).reshape(-1).view("<f4")


def reference(schema: Schema, seed: int = 0) -> NDArray[np.float32]:
    """Return the flat vector by widening every tensor by itself."""
    floats = [widened(tensor, payload(tensor, seed)) for tensor in schema.tensors if tensor.dtype in FLOATS]
    return np.concatenate([np.zeros(0, np.float32), *floats])


def packed(body: bytes, schema: Schema, data_offset: int, start: int, stop: int) -> flat.FlatView:
    """Return a view of flat elements [start, stop) over their packed bytes."""
    runs = schema.runs(start, stop)
    pieces = [body[data_offset + run.offset :][: run.nbytes] for run in runs]
    return flat.FlatView(memoryview(b"".join(pieces)), runs)


@given(schemas, metadata)
def test_what_the_library_writes_is_canonical(schema: Schema, told: dict[str, str] | None) -> None:
    body = library_file(schema, told=told)
    header = codec.parse(memoryview(body))
    assert header.schema == schema
    assert dict(header.metadata) == (told or {})
    ours = codec.encode_header(schema, told) + body[header.data_offset :]
    assert codec.parse(memoryview(ours)).schema == schema
    assert len(codec.encode_header(schema)) % 8 == 0
    assert {name: (a.dtype, a.shape, a.tobytes()) for name, a in codec.loads(ours)[0].items()} == {
        name: (a.dtype, a.shape, a.tobytes()) for name, a in codec.loads(body)[0].items()
    }


@given(schemas.filter(lambda schema: all(t.dtype != "BF16" for t in schema.tensors)))
def test_arrays_travel_to_the_library_and_back(schema: Schema) -> None:
    arrays = {t.name: np.frombuffer(payload(t, 1), flat.NUMPY_DTYPE[t.dtype]).reshape(t.shape) for t in schema.tensors}
    ours, theirs = codec.dumps(arrays, {"a": "b"}), save(arrays, {"a": "b"})
    for found in (load(ours), codec.loads(theirs)[0], codec.loads(ours)[0]):
        assert found.keys() == arrays.keys()
        for name, array in arrays.items():
            assert (found[name].dtype, found[name].shape) == (array.dtype, array.shape)
            assert found[name].tobytes() == array.tobytes()
    header = codec.parse(memoryview(ours))
    assert ours[header.data_offset :] == theirs[codec.parse(memoryview(theirs)).data_offset :]


@given(schemas)
def test_the_library_reads_our_header_over_its_data(schema: Schema) -> None:
    body = library_file(schema)
    data = body[codec.parse(memoryview(body)).data_offset :]
    with tempfile.NamedTemporaryFile() as file:
        file.write(codec.encode_header(schema) + data)
        file.flush()
        with safe_open(file.name, "numpy") as opened:
            assert set(opened.keys()) == {tensor.name for tensor in schema.tensors}
            for tensor in schema.tensors:
                found = opened.get_slice(tensor.name)
                assert (found.get_dtype(), tuple(found.get_shape())) == (tensor.dtype, tensor.shape)


@given(schemas, st.integers(1, 7))
def test_any_cut_puts_together_to_the_same_vector(schema: Schema, slices: int) -> None:
    body = library_file(schema)
    offset = codec.parse(memoryview(body)).data_offset
    bounds = [schema.slice_bounds(index, slices) for index in range(slices)]
    assert [start for start, _ in bounds[1:]] == [stop for _, stop in bounds[:-1]]
    views = [packed(body, schema, offset, *each) for each in bounds]
    whole = np.concatenate([np.zeros(0, np.float32), *(view.whole() for view in views)])
    np.testing.assert_array_equal(whole, reference(schema))
    assert [view.nbytes for view in views] == [schema.slice_nbytes(index, slices) for index in range(slices)]
    assert whole.dtype == np.float32


@given(schemas, st.data())
def test_any_range_reads_as_that_part_of_the_vector(schema: Schema, data: st.DataObject) -> None:
    body = library_file(schema)
    start = data.draw(st.integers(0, schema.parameters))
    stop = data.draw(st.integers(start, schema.parameters))
    first = data.draw(st.integers(start, stop))
    last = data.draw(st.integers(first, stop))
    view = packed(body, schema, codec.parse(memoryview(body)).data_offset, start, stop)
    np.testing.assert_array_equal(view.read(first, last), reference(schema)[first:last])
    out = np.full(last - first, np.nan, np.float32)
    assert view.read(first, last, out) is out
    np.testing.assert_array_equal(out, reference(schema)[first:last])


@given(st.binary(max_size=400))
def test_noise_is_refused_in_words(noise: bytes) -> None:
    with pytest.raises(InvalidTensors):
        codec.parse(memoryview(b"\x10" + noise[:0] + noise))


@given(schemas.filter(lambda schema: schema.nbytes > 0), st.data())
@settings(max_examples=200)
def test_a_damaged_header_is_refused_or_means_the_same_layout(schema: Schema, data: st.DataObject) -> None:
    body = bytearray(library_file(schema))
    length = codec.parse(memoryview(body)).data_offset
    body[data.draw(st.integers(0, length - 1))] = data.draw(st.integers(0, 255))
    try:
        header = codec.parse(memoryview(body))
    except InvalidTensors:
        return
    assert header.nbytes == len(body)


def file(entries: object, data: bytes = b"") -> memoryview:
    text = (entries if isinstance(entries, str) else json.dumps(entries)).encode()
    return memoryview(struct.pack("<Q", len(text)) + text + data)


def entry(shape: object, start: int, stop: int, dtype: str = "F32") -> dict[str, object]:
    return {"dtype": dtype, "shape": shape, "data_offsets": [start, stop]}


HOSTILE = {
    "nothing": memoryview(b""),
    "seven bytes": memoryview(bytes(7)),
    "largest length": memoryview(b"\xff" * 8 + b"{}"),
    "length beyond the body": memoryview(struct.pack("<Q", 100) + b"{}"),
    "no JSON": file("{"),
    "not UTF-8": memoryview(struct.pack("<Q", 2) + b"\xff\xff"),
    "deep lists": file("[" * 100_000),
    "deep objects": file('{"a":' * 50_000),
    "a number": file("1"),
    "doubled tensor": file('{"a":{"dtype":"F32","shape":[],"data_offsets":[0,4]},' * 2 + '"b":1}', bytes(4)),
    "overlap": file({"a": entry([1], 0, 4), "b": entry([1], 0, 4)}, bytes(4)),
    "gap": file({"a": entry([1], 4, 8)}, bytes(8)),
    "bytes after the last tensor": file({"a": entry([1], 0, 4)}, bytes(5)),
    "size that is not the shape's": file({"a": entry([2], 0, 4)}, bytes(4)),
    "shape that overflows 64 bits": file({"a": entry([2**32, 2**32], 0, 0)}),
    "shape that overflows by many sizes": file({"a": entry([2**31] * 40, 0, 0)}),
    "shape of a thousand digits": file('{"a":{"dtype":"F32","shape":[' + "9" * 1000 + '],"data_offsets":[0,4]}}'),
    "shape of too many digits": file('{"a":{"dtype":"F32","shape":[' + "9" * 9000 + '],"data_offsets":[0,4]}}'),
    "negative shape": file({"a": entry([-1], 0, -4)}),
    "fractional shape": file({"a": entry([1.0], 0, 4)}, bytes(4)),
    "truth as a size": file({"a": entry([True], 0, 4)}, bytes(4)),
    "no shape": file({"a": {"dtype": "F32", "data_offsets": [0, 4]}}, bytes(4)),
    "shape of words": file({"a": entry("1", 0, 4)}, bytes(4)),
    "offsets of words": file({"a": {"dtype": "F32", "shape": [1], "data_offsets": ["0", "4"]}}, bytes(4)),
    "negative offsets": file({"a": entry([1], -4, 0)}, bytes(4)),
    "unknown dtype": file({"a": entry([1], 0, 4, "F31")}, bytes(4)),
    "dtype that is none": file({"a": {"dtype": ["F32"], "shape": [1], "data_offsets": [0, 4]}}, bytes(4)),
    "metadata of numbers": file({"__metadata__": {"a": 1}}),
    "metadata of a list": file({"__metadata__": []}),
    "half a surrogate pair": file('{"\\ud800":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}', bytes(4)),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_and_cost_little(name: str) -> None:
    body = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTensors) as refused:
            codec.parse(body)
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()
    assert len(refused.value.detail) < 500


def test_a_header_longer_than_expected_is_not_even_decoded() -> None:
    body = file("[" + "[]," * 1_000_000 + "1]")
    tracemalloc.start()
    try:
        with pytest.raises(InvalidTensors, match="limit"):
            codec.parse(body, max_header_bytes=2**20)
        assert tracemalloc.get_traced_memory()[1] < 2**16
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("dtype", sorted(FLOATS))
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", [0, 131_071, 131_072, 299_999])
def test_a_number_that_is_not_finite_is_found_wherever_it_is(dtype: str, bad: float, where: int) -> None:
    values = np.ones(300_000, np.float32)
    good = {"a": flat.from_float32(values, dtype)}
    schema = Schema.of([TensorSpec("a", dtype, (300_000,)), TensorSpec("n", "U8", (3,))])
    head, tail = codec.encode_header(schema), b"\xff\xff\xff"
    body = memoryview(head + good["a"].tobytes() + tail)
    assert codec.first_nonfinite(body, codec.parse(body)) is None
    raw = good["a"].copy()
    raw[where] = (np.array([bad], np.float32).view(np.uint32) >> 16).astype(np.uint16)[0] if dtype == "BF16" else bad
    body = memoryview(head + raw.tobytes() + tail)
    assert codec.first_nonfinite(body, codec.parse(body)) == "a"


def test_a_double_beyond_float32_is_not_finite_and_a_large_float32_is() -> None:
    for dtype, value, found in [("<f8", 3.5e38, "a"), ("<f8", 3.4e38, None), ("<f4", 3.4e38, None)]:
        body = memoryview(save({"a": np.array([1.0, value], dtype)}))
        assert codec.first_nonfinite(body, codec.parse(body)) == found


@pytest.mark.parametrize("dtype", sorted(FLOATS))
@pytest.mark.parametrize("skew", [0, 1])
def test_looking_for_numbers_that_are_not_finite_takes_no_memory(dtype: str, skew: int) -> None:
    schema = Schema.of([TensorSpec("a", dtype, (4_000_000,))])
    head = codec.encode_header(schema)
    text = head[8:] + b" " * skew  # a header that leaves the data unaligned
    body = memoryview(struct.pack("<Q", len(text)) + text + bytes(schema.nbytes))
    header = codec.parse(body)
    tracemalloc.start()
    try:
        assert codec.first_nonfinite(body, header) is None
        assert tracemalloc.get_traced_memory()[1] < 4 * 2**20
    finally:
        tracemalloc.stop()


@given(
    st.lists(
        st.floats(width=32, allow_nan=False, allow_infinity=False, min_value=-(2.0**126), max_value=2.0**126),
        max_size=20,
    )
)
def test_bfloat16_is_rounded_to_the_nearest(values: list[float]) -> None:
    exact = np.array(values, np.float32)
    back = flat.widen_bfloat16(flat.narrow_to_bfloat16(exact))
    assert np.all(np.abs(back.astype(float) - exact) <= np.abs(exact.astype(float)) * 2**-8 + 1e-40)
    np.testing.assert_array_equal(flat.narrow_to_bfloat16(back), flat.narrow_to_bfloat16(exact))


def test_other_dtypes_and_byte_orders() -> None:
    with pytest.raises(InvalidParameters, match="complex"):
        codec.dumps({"a": np.zeros(2, np.complex64)})
    big = np.arange(6, dtype=">f4").reshape(2, 3)[:, ::-1]
    np.testing.assert_array_equal(load(codec.dumps({"a": big}))["a"], big)


def test_a_mismatch_names_the_tensor_and_what_was_expected() -> None:
    schema = Schema.of([TensorSpec("a", "F32", (2,)), TensorSpec("b", "F32", (3, 1))])
    for others, said in [
        ([TensorSpec("a", "F32", (2,))], "'b' is missing"),
        ([*schema.tensors, TensorSpec("c", "F32", ())], "'c' is not in the schema"),
        ([schema.tensors[0], TensorSpec("b", "F64", (3, 1))], r"'b' is F64 \[3, 1\]; the schema expects F32 \[3, 1\]"),
    ]:
        with pytest.raises(SchemaMismatch, match=said):
            schema.check(Schema.of(others))
    schema.check(Schema.of(reversed(schema.tensors)))
    assert Schema.from_json(json.loads(json.dumps(schema.to_json()))) == schema


@pytest.mark.parametrize("shape", [(2**49,), (2**31, 2**31), (2**31,) * 32, (-1,), (1,) * 33])
def test_shapes_beyond_all_reason_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(InvalidParameters):
        TensorSpec("a", "F32", shape)


def test_metadata_may_be_null_as_some_writers_have_it() -> None:
    text = b'{"__metadata__":null,"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'
    body = len(text).to_bytes(8, "little") + text + np.ones(1, "<f4").tobytes()
    arrays, metadata = codec.loads(body)
    assert (arrays["w"].tolist(), metadata) == ([1.0], {})
