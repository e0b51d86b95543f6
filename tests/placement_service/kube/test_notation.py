"""Durations, sizes and times as Kubernetes writes them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from services.placement.kube.notation import (
    check_cpu,
    format_micro_time,
    format_time,
    parse_bytes,
    parse_duration,
    parse_time,
)


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_durations_are_read_as_they_are_written(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"
    assert parse_duration(text) == hours * 3600 + minutes * 60 + seconds


@given(st.integers(0, 2**40), st.sampled_from(["", "Ki", "Mi", "Gi"]))
def test_sizes_are_read_as_kubernetes_reads_them(count: int, unit: str) -> None:
    power = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3}[unit]
    assert math.isclose(parse_bytes(f"{count}{unit}"), count * 1024**power, rel_tol=1e-15)


@pytest.mark.parametrize("text", ["", "5", "m", "1h ", "-1s", "1d", "1.5h", "9" * 5000 + "s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="write a duration"):
        parse_duration(text)


@pytest.mark.parametrize("text", ["500m", "1", "1.5", "0.1"])
def test_cores_stay_as_they_are_written(text: str) -> None:
    assert check_cpu(text) == text


@pytest.mark.parametrize("text", ["", "1.5m", "-1", "1 core", "١"])
def test_other_cores_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="such as 500m or 1"):
        check_cpu(text)


@pytest.mark.parametrize(("text", "nbytes"), [("1.5Ki", 1536), ("2k", 2000), ("1M", 10**6), ("3T", 3 * 10**12)])
def test_sizes_may_be_decimal_and_fractional(text: str, nbytes: int) -> None:
    assert parse_bytes(text) == nbytes


@pytest.mark.parametrize("text", ["", "5 Gi", "1e3", "-1", "Gi", "1KB", "9" * 400, "9" * 400 + "Gi"])
def test_other_sizes_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="such as 512Mi or 2Gi"):
        parse_bytes(text)


def test_times_are_those_of_rfc_3339() -> None:
    """The example of RFC 3339, section 5.8, in both precisions."""
    assert format_time(482196050.52) == "1985-04-12T23:20:50Z"
    assert format_micro_time(482196050.52) == "1985-04-12T23:20:50.520000Z"
    assert parse_time("1985-04-12T23:20:50.52Z") == 482196050.52
    assert parse_time("1996-12-19T16:39:57-08:00") == parse_time("1996-12-20T00:39:57Z")


@given(st.integers(0, 4 * 10**9))
def test_a_time_that_is_written_is_read_back(seconds: int) -> None:
    assert parse_time(format_time(seconds)) == seconds
    assert parse_time(format_micro_time(seconds)) == seconds
