"""How Kubernetes objects write durations (`10m30s`), sizes (`1Gi`), cores (`500m`) and times (RFC 3339)."""

import re
from datetime import UTC, datetime

from flstore_core.errors import InvalidParameters

# Digits are bounded: `int` refuses over 4300 of them with an error of its own, and `float` makes infinity of 400.
_DURATION = re.compile(r"(?=.)(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_BYTES = re.compile(r"(\d{1,19}(?:\.\d{1,19})?)(|k|M|G|T|Ki|Mi|Gi|Ti)", re.ASCII)
_CPU = re.compile(r"\d+(?:\.\d+)?|\d+m", re.ASCII)
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


def format_time(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as most objects write it: RFC 3339 to the second."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def format_micro_time(seconds: float) -> str:
    """Return a time, in seconds since the epoch, as leases write it: RFC 3339 to the microsecond."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def parse_time(text: str) -> float:
    """Return the seconds since the epoch of an RFC 3339 time."""
    return datetime.fromisoformat(text).timestamp()
