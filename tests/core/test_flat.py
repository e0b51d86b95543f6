"""Runs of packed bytes read as float32: exact against the definition of each format, and views where bytes allow."""

import math
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from flstore_core import flat
from flstore_core.flat import FlatView, SumView, all_finite, from_float32, narrow_to_bfloat16, widen_bfloat16
from flstore_core.schema import Run

BOUNDS = st.tuples(st.integers(0, 12), st.integers(0, 12)).map(sorted)

float32s = st.floats(width=32, allow_nan=False, allow_infinity=False)


def mixed() -> FlatView:
    """Three runs: float64 (0.5, 1e300), float32 (2, 3, 4, 5), bfloat16 (−2.5, 1), float16 (0.25, 8, −1)."""
    packed = struct.pack("<2d4f", 0.5, 1e300, 2, 3, 4, 5) + bytes.fromhex("20c0 803f") + struct.pack("<3e", 0.25, 8, -1)
    runs = [Run(0, 2, "F64", 0), Run(2, 4, "F32", 16), Run(6, 2, "BF16", 32), Run(8, 3, "F16", 36)]
    return FlatView(memoryview(packed), runs)


MIXED = [0.5, math.inf, 2, 3, 4, 5, -2.5, 1, 0.25, 8, -1]
"""1e300 is beyond float32."""


def test_the_example_of_the_module_holds() -> None:
    view = FlatView(memoryview(bytes.fromhex("0000803f 20c0")), [Run(0, 1, "F32", 0), Run(1, 1, "BF16", 4)])
    assert view.read(0, 2).tolist() == [1.0, -2.5]
    assert view.read(0, 1).base is not None
    assert (len(view), view.nbytes) == (2, 6)


@given(BOUNDS)
def test_any_range_over_any_dtypes_is_read_as_float32(bounds: list[int]) -> None:
    start, stop = bounds[0], min(bounds[1], 11)
    start = min(start, stop)
    with np.errstate(over="ignore"):
        values = mixed().read(start, stop)
    assert values.dtype == np.float32
    assert values.tolist() == MIXED[start:stop]


def test_all_of_it_is_read_at_once() -> None:
    with np.errstate(over="ignore"):
        assert mixed().whole().tolist() == MIXED


@given(BOUNDS, st.booleans())
def test_a_difference_is_read_as_the_sum_with_its_base(bounds: list[int], filling: bool) -> None:
    start, stop = min(bounds[0], bounds[1], 11), min(bounds[1], 11)
    runs = [Run(0, 2, "F64", 0), Run(2, 4, "F32", 16), Run(6, 2, "BF16", 32), Run(8, 3, "F16", 36)]
    base = struct.pack("<2d4f", 1, 2, 3, 4, 5, 6) + bytes.fromhex("803f 0040") + struct.pack("<3e", 3, 4, 5)
    packed = struct.pack("<2d4f", 0.5, -1, 2, 3, 4, -5) + bytes.fromhex("20c0 803f") + struct.pack("<3e", 0.25, 8, -1)
    view = SumView(FlatView(memoryview(base), runs), FlatView(memoryview(packed), runs))
    assert (view.start, view.stop, len(view), view.nbytes) == (0, 11, 11, 42)
    out = np.empty(stop - start, np.float32) if filling else None
    values = view.read(start, stop, out)
    assert values.dtype == np.float32
    assert values.tolist() == [1.5, 1, 5, 7, 9, 1, -1.5, 3, 3.25, 12, 4][start:stop]
    assert not filling or values is out
    assert base == struct.pack("<2d4f", 1, 2, 3, 4, 5, 6) + base[32:], "the base is as it was"


def test_a_sum_keeps_the_digits_of_float64() -> None:
    runs = [Run(0, 2, "F64", 0)]
    view = SumView(*(FlatView(memoryview(struct.pack("<2d", *pair)), runs) for pair in ((1, 1), (1e-12, 1))))
    assert view.values(0, 2).tolist() == [1 + 1e-12, 2]
    assert view.whole().dtype == np.float32


@pytest.mark.parametrize(("dtype", "code"), [("F32", "f"), ("F64", "d")])
def test_a_sum_beyond_float32_is_its_greatest_number(dtype: str, code: str) -> None:
    greatest = float(np.finfo(np.float32).max)
    run = Run(0, 2, dtype, 0)
    half = FlatView(memoryview(struct.pack(f"<2{code}", greatest, -greatest)), [run])
    assert SumView(half, half).values(0, 2).tolist() == [greatest, -greatest]
    if dtype == "F32":
        assert SumView(half, half).whole().tolist() == [greatest, -greatest]


@pytest.mark.parametrize("bounds", [(2, 6), (3, 5), (2, 2)])
def test_a_range_within_one_float32_run_is_a_view(bounds: tuple[int, int]) -> None:
    packed = np.zeros(44, np.uint8)
    view = FlatView(packed, [Run(0, 2, "F64", 0), Run(2, 4, "F32", 16)])
    values = view.read(*bounds)
    assert np.shares_memory(values, packed) or not len(values)
    assert not np.shares_memory(view.read(1, 3), packed)


def test_a_range_is_read_into_memory_that_is_handed_in() -> None:
    out = np.full(4, 7.0, np.float32)
    values = mixed().read(4, 8, out)
    assert values is out
    assert out.tolist() == [4, 5, -2.5, 1]


@pytest.mark.parametrize(
    ("bounds", "dtype", "expected"),
    [
        ((0, 2), np.float64, [0.5, 1e300]),
        ((1, 2), np.float64, [1e300]),
        ((2, 4), np.float32, [2, 3]),
        ((7, 9), np.float32, [1, 0.25]),
    ],
)
def test_values_keep_float64_as_it_is(bounds: tuple[int, int], dtype: type, expected: list[float]) -> None:
    values = mixed().values(*bounds)
    assert values.dtype == dtype
    assert values.tolist() == expected


def test_a_view_of_nothing_is_empty() -> None:
    view = FlatView(memoryview(b""), [])
    assert (len(view), view.start, view.stop, view.nbytes) == (0, 0, 0, 0)
    assert view.whole().tolist() == []


def test_a_slice_in_the_middle_of_the_vector_keeps_its_place() -> None:
    view = FlatView(memoryview(struct.pack("<3f", 1, 2, 3)), [Run(100, 3, "F32", 4000)])
    assert (view.start, view.stop) == (100, 103)
    assert view.read(101, 103).tolist() == [2, 3]


def nearest_bfloat16(value: float) -> set[int]:
    """Return the bits of the nearest bfloat16 by the definition: brute force over the neighbours."""
    bits = struct.unpack("<I", struct.pack("<f", value))[0]
    candidates = [(bits >> 16) + step for step in (-1, 0, 1) if 0 <= (bits >> 16) + step <= 0xFFFF]

    def exact(upper: int) -> float:
        return float(struct.unpack("<f", struct.pack("<I", upper << 16))[0])

    finite = [c for c in candidates if math.isfinite(exact(c))]
    distance = {c: abs(exact(c) - value) for c in finite}
    nearest = [c for c in finite if distance[c] == min(distance.values())]
    even = [c for c in nearest if c % 2 == 0]
    return set(even if len(nearest) > 1 else nearest)


@given(float32s.filter(lambda value: 1e-30 < abs(value) < 3e38))
def test_bfloat16_is_rounded_to_the_nearest_and_to_even(value: float) -> None:
    (bits,) = narrow_to_bfloat16(np.array([value], np.float32)).tolist()
    assert bits in nearest_bfloat16(value)


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0x7F7F0000, 0x7F7F), (0x7F7F7FFF, 0x7F7F), (0x7F7F8000, 0x7F80), (0x7F7FFFFF, 0x7F80), (0xFF7F8000, 0xFF80)],
)
def test_beyond_half_a_step_behind_its_end_bfloat16_is_infinite_as_in_torch(bits: int, expected: int) -> None:
    value = np.array([bits], np.uint32).view(np.float32)
    assert torch.from_numpy(value).bfloat16().view(torch.int16).numpy().view(np.uint16).tolist() == [expected]
    assert narrow_to_bfloat16(value).tolist() == [expected]


@given(st.integers(0, 0xFFFF))
def test_bfloat16_is_the_upper_half_of_a_float32(bits: int) -> None:
    (wide,) = widen_bfloat16(np.array([bits], np.uint16))
    expected = struct.unpack("<f", struct.pack("<I", bits << 16))[0]
    assert wide == expected or (math.isnan(wide) and math.isnan(expected))
    if math.isfinite(expected):
        assert narrow_to_bfloat16(np.array([wide], np.float32)).tolist() == [bits]


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
@given(values=arrays.arrays(np.float32, st.integers(0, 20), elements=st.integers(-128, 128)))
def test_small_integers_survive_every_format(dtype: str, values: flat.Float32) -> None:
    raw = from_float32(values, dtype)
    assert raw.dtype == flat.NUMPY_DTYPE[dtype]
    view = FlatView(memoryview(raw.tobytes()), [Run(0, len(raw), dtype, 0)] if len(raw) else [])
    np.testing.assert_array_equal(view.whole(), values)


@pytest.mark.parametrize("dtype", ["F16", "BF16", "F32", "F64"])
@pytest.mark.parametrize("place", [0, 1, flat._BLOCK - 1, flat._BLOCK, 2 * flat._BLOCK + 4])
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_one_element_that_is_not_finite_is_noticed_wherever_it_lies(dtype: str, place: int, bad: float) -> None:
    bits = {math.inf: 0x7F80, -math.inf: 0xFF80}
    raw = np.ones(2 * flat._BLOCK + 5, np.float32)
    raw = from_float32(raw, dtype)
    assert all_finite(raw, dtype)
    raw[place] = bits.get(bad, 0x7FC0) if dtype == "BF16" else bad
    assert not all_finite(raw, dtype)


def test_float64_beyond_float32_counts_as_not_finite() -> None:
    largest = float(np.finfo(np.float32).max)
    assert all_finite(np.array([largest, -largest]), "F64")
    assert not all_finite(np.array([np.nextafter(largest, np.inf)]), "F64")


def test_large_elements_whose_squares_overflow_are_finite() -> None:
    assert all_finite(np.full(1000, 3e38, np.float32), "F32")
    assert all_finite(np.full(1000, 60000, np.float16), "F16")


def test_nothing_is_finite() -> None:
    assert all_finite(np.empty(0, np.float32), "F32")


@pytest.mark.parametrize(("dtype", "greatest"), [("F16", 65504.0), ("BF16", 3.3895313892515355e38)])
def test_a_number_beyond_its_dtype_is_the_greatest_within_it(dtype: str, greatest: float) -> None:
    """As of an aggregate of differences that together leave the range."""
    packed = from_float32(np.array([3.4e38, -3.4e38, 1.5], np.float32), dtype)
    view = FlatView(packed.view(np.uint8), [Run(0, 3, dtype, 0)])
    assert view.whole().tolist() == [greatest, -greatest, 1.5]
    assert all_finite(packed, dtype)
