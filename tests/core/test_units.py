"""Sizes as people write them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from flstore_core.units import format_size, parse_natural, parse_size

TOO_LONG = ["9" * 5000, "9" * 400 + ".5", "1." + "9" * 5000, "9" * 20 + "PiB"]


@pytest.mark.parametrize(
    ("text", "nbytes"),
    [
        ("0", 0),
        ("4096", 4096),
        ("512MiB", 512 * 2**20),
        ("1.5 GiB", 3 * 2**29),
        ("2g", 2**31),
        ("1MB", 10**6),
        (" 7 kb ", 7000),
        ("8B", 8),
    ],
)
def test_sizes_are_read(text: str, nbytes: int) -> None:
    assert parse_size(text) == nbytes


@pytest.mark.parametrize("text", ["", "MiB", "-1", "1e9", "1 XB", "1.MiB", "٣", "1 Ki B", *TOO_LONG])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="size"):
        parse_size(text)


@given(st.integers(0, 10**9), st.integers(0, 10**9), st.integers(0, 6000))
def test_a_natural_number_is_read_up_to_the_largest_allowed(number: int, most: int, zeros: int) -> None:
    assert parse_natural("0" * zeros + str(number), most) == (number if number <= most else None)


@pytest.mark.parametrize("text", ["", "-1", "+1", "1.5", " 1", "1_0", "٣", "²", "x", "9" * 5000])
def test_what_is_no_natural_number_is_none(text: str) -> None:
    assert parse_natural(text, 10**6) is None


@given(st.integers(0, 2**60))
def test_what_is_written_is_read_back_within_its_precision(nbytes: int) -> None:
    assert parse_size(format_size(nbytes)) == pytest.approx(nbytes, rel=0.06)
