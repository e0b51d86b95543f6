"""Arrays of other libraries, as the safetensors library reads what is made of them."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch
from flwr.common import Array as FlowerArray
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flstore_core import codec, flat
from flstore_core.client.tensors import body_of, schema_of
from flstore_core.errors import InvalidParameters

DTYPES = st.sampled_from(["<f4", "<f8", "<f2", "<i8", "u1", "?", ">f4", ">i2"])


class TorchLike:
    """What a torch tensor can do, as far as the client asks."""

    def __init__(self, bits: np.ndarray[Any, Any], dtype: str) -> None:
        self._bits = bits
        self.dtype = dtype

    def detach(self) -> "TorchLike":
        return self

    cpu = contiguous = detach

    def view(self, dtype: str) -> "TorchLike":
        return TorchLike(self._bits.view(dtype), dtype)

    def numpy(self) -> np.ndarray[Any, Any]:
        if self.dtype == "torch.bfloat16":
            raise TypeError("Got unsupported ScalarType BFloat16")
        return self._bits


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L"]), min_size=1, max_size=5),
        DTYPES.flatmap(lambda dtype: arrays.arrays(dtype, arrays.array_shapes(min_dims=0, min_side=0, max_side=4))),
        max_size=4,
    )
)
def test_any_arrays_come_back_from_the_library(tensors: dict[str, np.ndarray[Any, Any]]) -> None:
    found = safetensors.numpy.load(b"".join(body_of(tensors).chunks()))
    assert found.keys() == tensors.keys()
    for name, array in tensors.items():
        assert np.array_equal(found[name], array, equal_nan=array.dtype.kind == "f")
        assert found[name].shape == array.shape


def test_bodies_and_schemas_agree() -> None:
    tensors = {"b": np.zeros((2, 3), np.float16), "a": np.zeros(4)}
    assert codec.parse(memoryview(b"".join(body_of(tensors).chunks()))).schema == schema_of(tensors)


def test_views_that_are_not_contiguous_are_sent_in_order() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(safetensors.numpy.load(b"".join(body_of({"w": array}).chunks()))["w"], array)


def test_torch_tensors_are_taken_without_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)  # whoever imports it gets an ImportError
    tensor = TorchLike(np.ones(3, np.float32), "torch.float32")
    assert safetensors.numpy.load(b"".join(body_of({"w": tensor}).chunks()))["w"].tolist() == [1, 1, 1]


def test_bfloat16_tensors_stay_bfloat16(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(int16="<i2"))
    bits = flat.narrow_to_bfloat16(np.array([1.5, -2.0], np.float32))
    body = b"".join(body_of({"w": TorchLike(bits.view(np.int16), "torch.bfloat16")}).chunks())
    assert codec.parse(memoryview(body)).schema.tensors[0].dtype == "BF16"
    assert codec.loads(body)[0]["w"].tolist() == [1.5, -2.0]


def test_what_safetensors_cannot_hold_is_named() -> None:
    with pytest.raises(InvalidParameters, match=r"'w'.*complex128"):
        body_of({"w": np.zeros(2, complex)})


class Opaque:
    """Knows how to raise, and nothing else."""

    @property
    def dtype(self) -> str:
        raise RuntimeError("deleted")

    def __array__(self, dtype: Any = None, copy: Any = None) -> np.ndarray[Any, Any]:
        raise RuntimeError("the buffer has been donated")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (torch.eye(2).to_sparse(), r"to_dense"),
        (torch.eye(2).to(torch.float8_e4m3fn), r"one of BOOL, U8"),
        (torch.eye(2, device="meta"), r"no values: load the weights"),
        (torch.eye(2, dtype=torch.complex64), r"complex64"),
        (np.ma.masked_array([1.0, 2.0], [True, False]), r"array\.filled"),
        (np.array(["a"]), r"no numbers"),
        (np.array([1, "a", None], object), r"no numbers, but object"),
        (None, r"NoneType"),
        ("text", r"no numbers"),
        ([[1.0], [1.0, 2.0]], r"cannot be sent"),
        (np.zeros(1, "M8[s]"), r"no numbers"),
        (np.zeros(1, np.longdouble), r"longdouble|float128|float96|dtype"),
        (Opaque(), r"the buffer has been donated"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_no_library_can_turn_into_numbers_is_named_with_a_way_out(value: Any, message: str) -> None:
    with pytest.raises(InvalidParameters, match=f"tensor 'layer/w'.*({message})"):
        body_of({"layer": {"w": value}})


@pytest.mark.parametrize(
    "value",
    [
        torch._neg_view(torch.eye(2)),
        -torch.eye(2).requires_grad_(),
        torch.nn.Parameter(-torch.eye(2)),
        torch.complex(torch.zeros(2, 2), -torch.eye(2)).imag,
        np.ma.masked_array(-np.eye(2, dtype=np.float32), False),
        [[-1.0, 0.0], [0.0, -1.0]],
        FlowerArray(-np.eye(2, dtype=np.float32)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_views_and_wrappers_are_sent_as_the_numbers_they_stand_for(value: Any) -> None:
    body = b"".join(body_of({"w": value}).chunks())
    assert safetensors.numpy.load(body)["w"].tolist() == [[-1.0, 0.0], [0.0, -1.0]]


@pytest.mark.parametrize("device", ["cpu", "meta"])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.bool]
)
def test_a_schema_needs_no_values(dtype: torch.dtype, device: str) -> None:
    values = {"w": torch.zeros(2, 3, dtype=dtype)}
    assert schema_of({"w": torch.zeros(2, 3, dtype=dtype, device=device)}) == schema_of(values)
    assert schema_of(values) == codec.parse(memoryview(b"".join(body_of(values).chunks()))).schema


def test_a_schema_is_taken_from_shapes_alone() -> None:
    shape = SimpleNamespace(dtype=np.dtype("f4"), shape=(2, 3))
    assert schema_of({"w": shape}) == schema_of({"w": np.zeros((2, 3), "f4")})
