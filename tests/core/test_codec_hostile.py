"""Safetensors from strangers: the file of the module's example, byte by byte, and every way to get it wrong."""

import json
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors import SafetensorError
from safetensors.numpy import load

from flstore_core import codec
from flstore_core.errors import InvalidParameters, InvalidTensors
from flstore_core.schema import Run

HEADER = b'{"n":{"dtype":"I64","shape":[],"data_offsets":[0,8]},"w":{"dtype":"F32","shape":[2],"data_offsets":[8,16]}}'
DATA = bytes.fromhex("0700000000000000 0000803f 000020c0")
FILE = struct.pack("<Q", 112) + HEADER + b" " * 5 + DATA
"""The example of `flstore_core.codec`."""


def file_of(header: Any, data: bytes = b"", length: int | None = None) -> memoryview:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return memoryview(struct.pack("<Q", len(text) if length is None else length) + text + data)


def entry(dtype: str = "F32", shape: Any = (2,), offsets: Any = (0, 8)) -> dict[str, Any]:
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


def test_the_example_is_written_byte_by_byte() -> None:
    assert len(FILE) == 136
    assert codec.dumps({"w": np.array([1.0, -2.5], np.float32), "n": np.array(7, np.int64)}) == FILE


def test_the_example_is_read_and_every_place_follows_from_it() -> None:
    header = codec.parse(memoryview(FILE))
    assert (header.data_offset, header.nbytes, header.metadata) == (120, 136, {})
    assert header.schema.runs(0, 2) == (Run(0, 2, "F32", 8),)
    assert struct.unpack("<f", FILE[120 + 8 + 4 : 136]) == (-2.5,)
    arrays, _ = codec.loads(FILE)
    assert arrays["w"].tolist() == [1.0, -2.5]
    assert arrays["n"].tolist() == 7


def test_the_library_reads_the_example_as_we_do() -> None:
    assert {name: array.tolist() for name, array in load(FILE).items()} == {"w": [1.0, -2.5], "n": 7}


@pytest.mark.parametrize("length", range(8))
def test_a_body_too_short_for_a_length_is_refused(length: int) -> None:
    with pytest.raises(InvalidTensors, match=f"{length} bytes cannot be safetensors"):
        codec.parse(memoryview(FILE[:length]))


@pytest.mark.parametrize("length", [8, 60, 119])
def test_a_header_that_is_cut_off_is_refused(length: int) -> None:
    with pytest.raises(InvalidTensors, match=f"the header takes 112 bytes, but only {length - 8} follow"):
        codec.parse(memoryview(FILE[:length]))


@pytest.mark.parametrize("change", [-1, 1, 100])
def test_a_body_of_another_length_than_the_header_describes_is_refused(change: int) -> None:
    body = FILE[:change] if change < 0 else FILE + bytes(change)
    with pytest.raises(InvalidTensors, match=f"describes 136 bytes, but the body has {136 + change}"):
        codec.parse(memoryview(body))


@pytest.mark.parametrize("length", [2**64 - 1, 2**40, 100_000_001])
def test_an_endless_header_is_refused_before_it_is_read(length: int) -> None:
    with pytest.raises(InvalidTensors, match=f"a header of {length} bytes is over the limit"):
        codec.parse(file_of(b"{}", length=length))


def test_the_limit_may_be_lower_for_who_knows_what_to_expect() -> None:
    assert codec.parse(memoryview(FILE), max_header_bytes=107).nbytes == 136
    with pytest.raises(InvalidTensors, match="a header of 107 bytes is over the limit of 106"):
        codec.parse(memoryview(FILE), max_header_bytes=106)


@pytest.mark.parametrize(
    "header",
    [b"", b"{", b"\xff\xfe", b"[" * 100_000, b'{"a":1,"a":2}', b'{"\\ud800":{}}', b"NaN}"]
    + [HEADER.decode().encode(encoding) for encoding in ("utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be")],
)
def test_what_is_no_json_with_distinct_keys_is_refused(header: bytes) -> None:
    with pytest.raises(InvalidTensors, match="not JSON with distinct keys"):
        codec.parse(file_of(header))


@pytest.mark.parametrize("header", [[], 7, "text", None, True])
def test_json_that_is_no_object_is_refused(header: Any) -> None:
    with pytest.raises(InvalidTensors, match="not a JSON object"):
        codec.parse(file_of(header))


@pytest.mark.parametrize("metadata", [1, [], "x", {"epoch": 3}, {"a": None}, {"a": ["b"]}])
def test_metadata_other_than_text_to_text_is_refused(metadata: Any) -> None:
    with pytest.raises(InvalidTensors, match="__metadata__ must map text to text"):
        codec.parse(file_of({"__metadata__": metadata}))


@pytest.mark.parametrize(
    "broken", [{}, {"dtype": "F32", "shape": [2]}, [], 5, None, {"dtype": "F32", "data_offsets": [0, 8]}]
)
def test_an_entry_without_its_three_parts_is_refused(broken: Any) -> None:
    with pytest.raises(InvalidTensors, match="tensor 'w' needs dtype, shape and data_offsets"):
        codec.parse(file_of({"w": broken}, bytes(8)))


@pytest.mark.parametrize("shape", ["2", {"0": 2}, 2, None, [True], [2.0], ["2"], [[2]]])
def test_a_shape_that_is_no_list_of_sizes_is_refused(shape: Any) -> None:
    broken = {**entry(), "shape": shape}
    with pytest.raises(InvalidTensors, match="is not a list of sizes"):
        codec.parse(file_of({"w": broken}, bytes(8)))


@pytest.mark.parametrize(
    ("dtype", "shape"), [("F8_E4M3", [2]), ("", [2]), ("F32" * 100, [2]), ("F32", [-1]), ("F32", [2**60])]
)
def test_dtypes_and_shapes_that_cannot_be_are_refused(dtype: str, shape: list[int]) -> None:
    with pytest.raises(InvalidTensors, match="tensor 'w'"):
        codec.parse(file_of({"w": entry(dtype, shape)}, bytes(8)))


@pytest.mark.parametrize(
    "offsets",
    [
        [8, 16],
        [0, 7],
        [0, 9],
        [8, 0],
        [-8, 0],
        [2**63, 2**63 + 8],
    ],
)
def test_offsets_other_than_those_that_follow_are_refused(offsets: Any) -> None:
    broken = {**entry(), "data_offsets": offsets}
    with pytest.raises(InvalidTensors, match=r"tensor 'w' lies at .*, expected \[0, 8\]"):
        codec.parse(file_of({"w": broken}, bytes(8)))


@pytest.mark.parametrize("offsets", [[0], [0, 8, 16], [], [0.5, 8], [None, 8], [0.0, 8.0], [False, 8], "08"])
def test_offsets_that_are_no_two_numbers_are_refused(offsets: Any) -> None:
    broken = {**entry(), "data_offsets": offsets}
    with pytest.raises(InvalidTensors, match=r"tensor 'w' has the data_offsets .*, which are not the numbers of two"):
        codec.parse(file_of({"w": broken}, bytes(8)))


def test_two_tensors_over_the_same_bytes_are_refused() -> None:
    with pytest.raises(InvalidTensors, match=r"tensor 'b' lies at \[0, 8\], expected \[8, 16\]") as caught:
        codec.parse(file_of({"a": entry(), "b": entry()}, bytes(16)))
    assert caught.value.extensions == {"tensor": "b"}


def test_another_order_than_the_librarys_is_read() -> None:
    swapped = {"a": entry(offsets=(8, 16)), "b": entry(offsets=(0, 8))}
    arrays, _ = codec.loads(file_of(swapped, np.arange(4, dtype="<f4").tobytes()))
    assert {name: array.tolist() for name, array in arrays.items()} == {"a": [2.0, 3.0], "b": [0.0, 1.0]}


@given(st.binary(max_size=200))
def test_any_bytes_are_either_refused_or_a_file_that_the_library_reads(body: bytes) -> None:
    try:
        header = codec.parse(memoryview(body))
    except InvalidTensors:
        return
    assert header.nbytes == len(body)
    assert set(load(body)) == {tensor.name for tensor in header.schema.tensors}


@given(st.data())
def test_a_damaged_file_is_refused_or_read_as_the_library_reads_it(data: st.DataObject) -> None:
    damaged = bytearray(FILE)
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, len(FILE) - 1))] = data.draw(st.integers(0, 255))
    try:
        arrays, _ = codec.loads(bytes(damaged))
    except InvalidTensors:
        return
    try:
        expected = load(bytes(damaged))
    except (SafetensorError, KeyError):  # dtypes that NumPy lacks, such as bfloat16
        return
    assert {name: array.tobytes() for name, array in arrays.items()} == {
        name: array.tobytes() for name, array in expected.items()
    }


@pytest.mark.parametrize("dtype", ["c8", "M8[s]", "O", "U3", "V4"])
def test_arrays_that_safetensors_cannot_hold_are_refused(dtype: str) -> None:
    with pytest.raises(InvalidParameters, match=r"tensor 'w': dtype .* is not one of BOOL"):
        codec.schema_of({"w": np.zeros(2, dtype)})


def test_arrays_of_another_byte_order_or_layout_are_written_in_order() -> None:
    matrix = np.arange(6, dtype=">f4").reshape(2, 3).T
    back, _ = codec.loads(codec.dumps({"m": matrix}))
    np.testing.assert_array_equal(back["m"], matrix.astype("<f4"))


def test_contiguous_arrays_are_sent_without_a_copy() -> None:
    array = np.arange(1000, dtype=np.float32)
    _, part = codec.encode({"w": array})
    assert np.shares_memory(np.frombuffer(part, np.uint8), array)


def test_arrays_are_views_into_the_body() -> None:
    body = codec.dumps({"w": np.arange(1000, dtype=np.float32)})
    arrays, _ = codec.loads(body)
    assert np.shares_memory(arrays["w"], np.frombuffer(body, np.uint8))
