"""Headers of every kind: those that others write are read, and what is wrong with the rest is said of which tensor."""

import json
from collections.abc import Mapping
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors import SafetensorError

from flstore_core import codec, flat
from flstore_core.errors import InvalidTensors
from flstore_core.header import MAX_PADDED_BYTES
from flstore_core.schema import ITEMSIZE
from tests.writers import WRITERS, Arrays, Writer, file_of, tensors_in

MODEL: Arrays = {
    "layer.weight": np.arange(6, dtype=np.float32).reshape(2, 3),
    "layer.bias": np.array([0.5, -1.0], np.float32),
    "steps": np.array(7, np.int64),
    "half": np.arange(4, dtype=np.float16),
    "mask": np.array([True, False, True]),
    "none": np.zeros((0, 3), np.float32),
    "größe": np.array([1.5], np.float64),
}
BFLOAT16: Arrays = {**MODEL, "b": np.array([0x3F00, 0xBF80], "<u2").view("V2")}

MLX_FILE = file_of(
    b'{"__metadata__":null,"bf":{"data_offsets":[0,4],"dtype":"BF16","shape":[2]},'
    b'"half":{"data_offsets":[4,12],"dtype":"F16","shape":[4]},"layer.bias":{"data_offsets":[20,28],"dtype":"F32",'
    b'"shape":[2]},"layer.weight":{"data_offsets":[28,52],"dtype":"F32","shape":[2,3]},'
    b'"steps":{"data_offsets":[12,20],"dtype":"I64","shape":[]}}',
    bytes.fromhex(
        "003f80bf 0000003c00400042 0700000000000000 0000003f000080bf 000000000000803f0000004000004040000080400000a040"
    ),
)
"""What `mlx.core.save_safetensors` 0.32.4 wrote on Linux."""


def assert_holds(body: bytes, arrays: Arrays) -> None:
    """Assert that our reader and the library find exactly these arrays in a file."""
    found, _ = codec.loads(body)
    theirs = tensors_in(body)
    assert found.keys() == theirs.keys() == arrays.keys()
    for name, array in arrays.items():
        expected = flat.widen_bfloat16(array.view("<u2")) if array.dtype == "V2" else array
        np.testing.assert_array_equal(found[name], expected, strict=True)
        assert theirs[name]["data"] == array.tobytes()


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("metadata", [None, {"format": "mlx", "größe": "1"}])
def test_what_other_libraries_write_is_read(writer: Writer, metadata: Mapping[str, str] | None) -> None:
    body = writer(MODEL, metadata)
    assert_holds(body, MODEL)
    assert codec.loads(body)[1] == (metadata or {})


@pytest.mark.parametrize("writer", ["mlx", "tinygrad", "mapped"])
def test_bfloat16_of_other_libraries_is_read(writer: str) -> None:
    assert_holds(WRITERS[writer](BFLOAT16, None), BFLOAT16)


def test_a_file_of_mlx_is_read() -> None:
    names = ["layer.weight", "layer.bias", "steps", "half"]
    assert_holds(MLX_FILE, {**{name: MODEL[name] for name in names}, "bf": BFLOAT16["b"]})
    assert not codec.parse(memoryview(MLX_FILE)).is_canonical


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
def test_a_file_in_an_order_of_its_own_is_stored_in_ours(writer: Writer) -> None:
    body = memoryview(writer(MODEL, {"format": "x"}))
    header = codec.parse(body)
    file = codec.Canonical(body, header)
    stored = b"".join(file.pieces())
    assert len(stored) == file.nbytes
    assert codec.parse(memoryview(stored)).is_canonical
    assert codec.parse(memoryview(stored)).schema == header.schema
    assert_holds(stored, MODEL)
    assert codec.loads(stored)[1] == {"format": "x"}
    assert all(piece.obj is body.obj for piece in file.pieces()[1:]), "nothing is copied"


def test_a_file_in_canonical_order_is_stored_as_it_came() -> None:
    body = memoryview(WRITERS["candle"](MODEL, {"format": "x"}))
    file = codec.Canonical(body, codec.parse(body))
    assert file.is_as_it_came
    assert [len(piece) for piece in file.pieces()] == [len(file.head), len(body) - len(file.head)]
    assert b"".join(file.pieces()) == body
    anew = codec.Canonical(body, codec.parse(body), keep_header=False)
    assert not anew.is_as_it_came
    assert_holds(b"".join(anew.pieces()), MODEL)


@given(st.data())
def test_any_part_of_the_stored_data_is_cut_out_of_what_came(data: st.DataObject) -> None:
    body = memoryview(WRITERS["tinygrad"](MODEL, None))
    file = codec.Canonical(body, codec.parse(body))
    stored = b"".join(file.pieces())[len(file.head) :]
    start = data.draw(st.integers(0, len(stored)))
    stop = data.draw(st.integers(start, len(stored)))
    assert b"".join(file.cut(start, stop)) == stored[start:stop]


def entry(text: str, name: str = "w") -> bytes:
    return b'{"%s":%s}' % (name.encode(), text.encode())


GOOD = '{"dtype":"F32","shape":[1],"data_offsets":[0,4]}'


@pytest.mark.parametrize(
    "number", ["-0", "-0.0", "0.0", "0e0", "false", "null", '"0"', "NaN", "-Infinity", "1e999", "[]"]
)
def test_an_offset_or_size_that_is_no_whole_number_is_said_of_its_tensor(number: str) -> None:
    for text in (GOOD.replace("[0,", f"[{number},"), GOOD.replace("[1]", f"[1,{number}]")):
        with pytest.raises(InvalidTensors, match="tensor 'w' has the") as refused:
            codec.parse(memoryview(file_of(entry(text), bytes(4))))
        assert refused.value.extensions == {"tensor": "w"}


def test_minus_in_a_name_or_before_another_number_is_no_minus_zero() -> None:
    assert_holds(file_of(entry(GOOD, "layer-0.weight"), bytes(4)), {"layer-0.weight": np.zeros(1, np.float32)})


@pytest.mark.parametrize("twice", ['"dtype":"F32"', '"shape":[1]', '"data_offsets":[0,4]', '"more":1'])
def test_a_member_that_comes_twice_is_said_of_its_tensor(twice: str) -> None:
    text = "{" + twice + "," + twice + "," + GOOD[1:]
    with pytest.raises(InvalidTensors, match=r"tensor 'w' has '[a-z_]+' twice"):
        codec.parse(memoryview(file_of(entry(text), bytes(4))))


def test_a_tensor_that_comes_twice_is_named() -> None:
    with pytest.raises(InvalidTensors, match="it has 'w' twice") as refused:
        codec.parse(memoryview(file_of(entry(GOOD + ',"w":' + GOOD), bytes(4))))
    assert refused.value.extensions == {"tensor": "w"}
    with pytest.raises(InvalidTensors, match="__metadata__ has 'a' twice"):
        codec.parse(memoryview(file_of(b'{"__metadata__":{"a":"b","a":"c"}}')))


@pytest.mark.parametrize("more", ["1.5", "null", '{"a":{"b":[1,2]}}', '"text"', "-0", "1e30", "[" * 125 + "]" * 125])
def test_members_that_nobody_knows_are_passed_over(more: str) -> None:
    assert_holds(file_of(entry(f'{{"more":{more},' + GOOD[1:]), bytes(4)), {"w": np.zeros(1, np.float32)})


@pytest.mark.parametrize("more", ["NaN", "[-Infinity]", "1e999", "9" * 400, "[" * 126 + "]" * 126, '{"a":{"b":NaN}}'])
def test_members_that_nobody_knows_are_json_all_the_same(more: str) -> None:
    with pytest.raises(InvalidTensors, match="tensor 'w' has the member 'more', which is no JSON"):
        codec.parse(memoryview(file_of(entry(f'{{"more":{more},' + GOOD[1:]), bytes(4))))


@pytest.mark.parametrize("where", ['{"__metadata__":{"a":"\\ud800"}}', '{"w":{"more":"\\udfff",' + GOOD[1:] + "}"])
def test_half_a_surrogate_pair_is_no_text_wherever_it_stands(where: str) -> None:
    with pytest.raises(InvalidTensors, match="UTF-8"):
        codec.parse(memoryview(file_of(where.encode(), bytes(4))))
    assert codec.loads(file_of(b'{"__metadata__":{"a":"\\ud83d\\ude00"}}'))[1] == {"a": "😀"}


@pytest.mark.parametrize("spaces", [0, 1, 7, 4095, 4096, 4097, 3 << 20])
def test_spaces_behind_the_header_are_no_part_of_it(spaces: int) -> None:
    text = entry(GOOD)
    assert (
        codec.parse(memoryview(file_of(text + b" " * spaces, bytes(4))), len(text)).data_offset
        == 8 + len(text) + spaces
    )


def test_a_header_of_spaces_alone_is_none() -> None:
    with pytest.raises(InvalidTensors, match="not JSON"):
        codec.parse(memoryview(file_of(b" " * 10_000)))


def test_spaces_have_an_end_too() -> None:
    with pytest.raises(InvalidTensors, match="over the limit"):
        codec.parse(memoryview((MAX_PADDED_BYTES + 1).to_bytes(8, "little") + b"{}"))


@pytest.mark.parametrize("white", ["\n", "\t", "\r\n", " \n "])
def test_white_space_of_json_is_read(white: str) -> None:
    text = white + entry(GOOD).decode().replace(",", "," + white) + white
    assert_holds(file_of(text.encode(), bytes(4)), {"w": np.zeros(1, np.float32)})


@pytest.mark.parametrize(
    ("dtype", "hint"),
    [
        *[(dtype, "send it as BF16 or F32") for dtype in ("F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3")],
        ("C64", "send its real and its imaginary part as two tensors"),
        ("F128", "send numbers of one of these"),
        ("f32", "send numbers of one of these"),
    ],
)
def test_a_dtype_that_is_not_kept_is_named_with_what_to_send(dtype: str, hint: str) -> None:
    with pytest.raises(InvalidTensors, match=f"tensor 'w': dtype '{dtype}' is not one of BOOL, .*; {hint}"):
        codec.parse(memoryview(file_of(entry(GOOD.replace("F32", dtype)), bytes(4))))


@pytest.mark.parametrize("dtype", ITEMSIZE)
def test_every_dtype_is_kept_as_scalar_as_array_and_without_elements(dtype: str) -> None:
    size = ITEMSIZE[dtype]
    members = {
        name: {"dtype": dtype, "shape": shape, "data_offsets": [begin * size, end * size]}
        for name, shape, begin, end in [("array", [2, 1], 0, 2), ("none", [3, 0], 2, 2), ("scalar", [], 2, 3)]
    }
    body = file_of(json.dumps(members).encode(), bytes(range(3 * size)) if dtype != "BOOL" else b"\1\0\1")
    arrays, _ = codec.loads(body)
    assert {name: array.shape for name, array in arrays.items()} == {"array": (2, 1), "none": (3, 0), "scalar": ()}
    theirs = tensors_in(body)
    stored = tensors_in(b"".join(codec.Canonical(memoryview(body), codec.parse(memoryview(body))).pieces()))
    assert {name: theirs[name]["data"] for name in theirs} == {name: stored[name]["data"] for name in stored}


# A fuzzer: headers that are right but for a few places, as text, since JSON libraries write no -0 and no doubled key.

NAMES = ["w", "b", "größe", 'a"b', "-0", "layer.0/x"]
ODD = ["-0", "1.0", "1e0", "true", "NaN", "Infinity", "null", "-1", '"1"', "18446744073709551616", "9" * 30, "2", "[]"]
odd = st.sampled_from(ODD)


@st.composite
def files(draw: st.DrawFn) -> bytes:
    """Return a file of a few tensors, with at most a few oddities."""
    names = draw(st.lists(st.sampled_from(NAMES), max_size=4, unique=True))
    data, members = b"", []
    for name in names:
        dtype = draw(
            st.sampled_from([*ITEMSIZE, "F8_E4M3", "C64", "F4", "X"])
            if draw(st.integers(0, 9)) == 0
            else st.sampled_from(["F32", "I64", "U8", "BF16"])
        )
        shape = draw(st.lists(st.integers(0, 3), max_size=3))
        size = int(np.prod(shape)) * ITEMSIZE.get(dtype, 1)
        members.append((name, dtype, [str(n) for n in shape], [str(len(data)), str(len(data) + size)]))
        data += draw(st.binary(min_size=size, max_size=size))
    texts = [_entry_text(draw, *member) for member in draw(st.permutations(members))]
    if draw(st.booleans()):
        texts.insert(draw(st.integers(0, len(texts))), draw(st.sampled_from(METADATA)))
    if texts and draw(st.integers(0, 19)) == 0:
        texts.append(draw(st.sampled_from(texts)))
    if draw(st.integers(0, 9)) == 0:
        data = data[1:] if draw(st.booleans()) else data + b"\0"
    white = draw(st.sampled_from(["", "", " ", "\n"]))
    return file_of(
        (white + "{" + ("," + white).join(texts) + "}" + draw(st.sampled_from(["", "  ", "\n"]))).encode(), data
    )


METADATA = [
    '"__metadata__":null',
    '"__metadata__":{}',
    '"__metadata__":{"a":"b"}',
    '"__metadata__":{"a":1}',
    '"__metadata__":[]',
]
MORE = ["1", "-0", "NaN", '{"a":1,"a":2}', "[[]]", '"x"', "1e999"]


def _entry_text(draw: st.DrawFn, name: str, dtype: str, shape: list[str], offsets: list[str]) -> str:
    kind = draw(st.integers(0, 30))
    if kind == 0 and shape:
        shape = [draw(odd), *shape[1:]]
    if kind == 1:
        offsets = [draw(odd), offsets[1]] if draw(st.booleans()) else [offsets[0], draw(odd)]
    if kind == 2:
        offsets = [*offsets, "4"] if draw(st.booleans()) else offsets[:1]
    members = [f'"dtype":"{dtype}"', f'"shape":[{",".join(shape)}]', f'"data_offsets":[{",".join(offsets)}]']
    if kind == 3:
        members.append(f'"more":{draw(st.sampled_from(MORE))}')
    if kind == 4:
        members.append(draw(st.sampled_from(members)))
    if kind == 5:
        members.pop(draw(st.integers(0, 2)))
    return f"{json.dumps(name, ensure_ascii=draw(st.booleans()))}:{{{','.join(draw(st.permutations(members)))}}}"


def library_reads(body: bytes) -> dict[str, Any] | None:
    try:
        return tensors_in(body)
    except SafetensorError:
        return None


@given(files())
@settings(max_examples=200)
def test_a_file_is_read_as_the_library_reads_it_or_refused_by_the_name_of_a_tensor(body: bytes) -> None:
    theirs, header = library_reads(body), None
    with suppress(InvalidTensors):
        header = codec.parse(memoryview(body))
    if header is None:
        with pytest.raises(InvalidTensors) as refused:
            codec.parse(memoryview(body))
        named = refused.value.extensions.get("tensor", "")
        assert theirs is None or (named in theirs and repr(named) in refused.value.detail)
        return
    assert theirs is not None, "the library refuses it"
    assert {tensor.name: (tensor.dtype, list(tensor.shape)) for tensor in header.schema.tensors} == {
        name: (told["dtype"], told["shape"]) for name, told in theirs.items()
    }
    stored = library_reads(b"".join(codec.Canonical(memoryview(body), header).pieces()))
    for tensor, offset in header.tensors():
        raw = body[offset : offset + tensor.nbytes]
        assert raw == theirs[tensor.name]["data"]
        assert stored is not None
        assert raw == stored[tensor.name]["data"]
