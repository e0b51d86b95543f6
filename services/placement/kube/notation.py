"""How Kubernetes objects write durations (`10m30s`), sizes (`1Gi`), cores (`500m`), devices and times (RFC 3339)."""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from flstore_core.errors import InvalidParameters
from flstore_core.units import parse_natural

# Digits are bounded: `int` refuses over 4300 of them with an error of its own, and `float` makes infinity of 400.
_DURATION = re.compile(r"(?=.)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_BYTES = re.compile(r"(\d{1,19}(?:\.\d{1,19})?)(|k|M|G|T|Ki|Mi|Gi|Ti)", re.ASCII)
_CPU = re.compile(r"\d+(?:\.\d+)?|\d+m", re.ASCII)
_EXTENDED = re.compile(
    r"[a-z0-9](?:[-.a-z0-9]{0,242}[a-z0-9])?/[A-Za-z0-9](?:[-_.A-Za-z0-9]{0,61}[A-Za-z0-9])?", re.ASCII
)
_NATIVE = re.compile(r"kubernetes\.io/|^requests\.")
_GPU = re.compile(r"nvidia\.com/(?:gpu(?:\.shared)?|mig-.+)")
_FACTORS = {"": 1, **{unit: 1000**power for power, unit in enumerate("kMGT", start=1)}} | {
    unit + "i": 1024**power for power, unit in enumerate("KMGT", start=1)
}


def parse_duration(text: str) -> int:
    """Return a duration in seconds; raise `InvalidParameters` unless `text` is like `90s`, `10m` or `1h30m`."""
    match = _DURATION.fullmatch(text)
    if not match:
        raise InvalidParameters(
            f"{text[:40]!r} is not a duration; write a duration of whole seconds, such as 90s, 10m or 1h30m"
        )
    hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return hours * 3600 + minutes * 60 + seconds


def parse_bytes(text: str) -> int:
    """Return a size in bytes; raise `InvalidParameters` unless `text` is like `512Mi`, `2Gi` or `1500000`."""
    match = _BYTES.fullmatch(text)
    if not match:
        raise InvalidParameters(
            f"{text[:40]!r} is not a size; write a Kubernetes quantity of bytes, such as 512Mi or 2Gi"
        )
    return int(float(match[1]) * _FACTORS[match[2]])


def check_cpu(text: str) -> str:
    """Return `text` if it is a quantity of cores such as `500m`, `1` or `1.5`; else raise `InvalidParameters`."""
    if not _CPU.fullmatch(text):
        raise InvalidParameters(
            f"{text[:40]!r} is not a number of cores; write a Kubernetes quantity of cores, such as 500m or 1"
        )
    return text


def parse_extended_resources(text: str) -> Mapping[str, str]:
    """Return how many of each device a JSON object such as `{"nvidia.com/gpu": 1}` asks for, as quantities.

    Raises:
        InvalidParameters: unless every name is one of an extended resource and every value a whole number above 0.
    """
    try:
        wanted = json.loads(text)
    except ValueError:
        wanted = None
    if not isinstance(wanted, dict):
        raise InvalidParameters(f'{text[:40]!r} is no JSON object; write one such as {{"nvidia.com/gpu": 1}}')
    return {_check_extended(name): _parse_count(name, value) for name, value in wanted.items()}


def _check_extended(name: str) -> str:
    if not _EXTENDED.fullmatch(name) or _NATIVE.search(name):
        raise InvalidParameters(f"{name[:40]!r} is no extended resource; write a domain and a name, as nvidia.com/gpu")
    return name


def _parse_count(name: str, value: Any) -> str:
    count = parse_natural(str(value), 10**9)
    if not count:
        raise InvalidParameters(f"{name} is {str(value)[:40]!r}; use a whole number above 0")
    return str(count)


def has_gpu(names: Iterable[str]) -> bool:
    """Return whether one of the resources is an NVIDIA GPU, or a part of one: shared, or a profile of MIG."""
    return any(map(_GPU.fullmatch, names))


def format_time(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as most objects write it: RFC 3339 to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as leases write it: RFC 3339 to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
