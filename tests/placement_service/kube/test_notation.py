"""Durations, sizes and times as Kubernetes writes them."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flstore_core.errors import InvalidParameters
from services.placement.kube.notation import parse_bytes, parse_duration


@given(st.integers(0, 100), st.integers(0, 59), st.integers(0, 59))
def test_durations_are_read_as_they_are_written(hours: int, minutes: int, seconds: int) -> None:
    text = f"{hours}h{minutes}m{seconds}s"
    assert parse_duration("d", text) == hours * 3600 + minutes * 60 + seconds


@given(st.integers(0, 2**40), st.sampled_from(["", "Ki", "Mi", "Gi"]))
def test_sizes_are_read_as_kubernetes_reads_them(count: int, unit: str) -> None:
    power = {"": 0, "Ki": 1, "Mi": 2, "Gi": 3}[unit]
    assert math.isclose(parse_bytes("q", f"{count}{unit}"), count * 1024**power, rel_tol=1e-15)


@pytest.mark.parametrize("text", ["", "5", "m", "1h ", "-1s", "1d", "1.5h"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(InvalidParameters, match="write a duration"):
        parse_duration("spec.retention", text)
