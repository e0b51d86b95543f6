"""Arrays of other libraries, as the safetensors library reads what is made of them."""

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
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
