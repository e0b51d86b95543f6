"""Numbers and sizes as people write them: `17`, `512MiB`, `1.5 GB`."""

import re

from flstore_core.errors import InvalidParameters

_BINARY = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_FACTORS: dict[str, int] = {
    "": 1,
    **{unit.lower(): 1024**power for power, unit in enumerate(_BINARY)},
    **{unit: 1024**power for power, unit in enumerate("kmgtp", start=1)},
    **{unit + "b": 1000**power for power, unit in enumerate("kmgtp", start=1)},
}
_SIZE = re.compile(r"\s*(\d{1,19}(?:\.\d{1,19})?)\s*([A-Za-z]*)\s*", re.ASCII)


def parse_natural(text: str, most: int) -> int | None:
    """Return the whole number from 0 to `most` that ASCII digits write; None for any other text.

    The digits are counted before they are converted: Python's `int` raises a bare `ValueError` for more than 4300.
    """
    digits = text.lstrip("0") or text[-1:]
    if not (text.isascii() and text.isdecimal()) or len(digits) > len(str(most)):
        return None
    return number if (number := int(digits)) <= most else None


def parse_size(text: str) -> int:
    """Return a size in bytes: `KiB` and the bare `K` count in 1024s, `KB` in 1000s, no unit in bytes.

    Raises:
        InvalidParameters: for anything else, and for more than 19 digits before or after the point.
    """
    match = _SIZE.fullmatch(text)
    factor = _FACTORS.get(match[2].lower()) if match else None
    if match is None or factor is None:
        raise InvalidParameters(
            f"size {text[:40]!r} is not usable; write bytes, or a number with KiB, MiB, GiB, KB, MB, GB"
        )
    return int(match[1]) * factor if "." not in match[1] else round(float(match[1]) * factor)


def format_size(nbytes: float) -> str:
    """Return `nbytes` with three digits or so in the largest fitting binary unit: `44.6 MiB`."""
    size = float(nbytes)
    for unit in _BINARY[:-1]:
        if abs(size) < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} {_BINARY[-1]}"
