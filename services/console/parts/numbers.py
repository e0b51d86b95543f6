"""Numbers with their units, as short as they can be and still be right."""

import math
from datetime import UTC, datetime

from flstore_core.presentation.words import percent, shown
from flstore_core.units import format_size

__all__ = ["dollars", "factor", "format_size", "instant", "milliseconds", "percent", "seconds", "shown"]


def dollars(amount: float) -> str:
    """Return an amount with three digits that count: `$ 1.23`, `$ 0.0000412`."""
    if amount == 0 or not math.isfinite(amount):
        return "$ 0" if amount == 0 else "-"
    digits = max(2, 2 - math.floor(math.log10(abs(amount))))
    return f"$ {amount:,.{min(digits, 12)}f}"


def milliseconds(value: float) -> str:
    """Return a time in milliseconds or, from 1 s, in seconds: `0.42 ms`, `17 ms`, `1.3 s`."""
    if value >= 1000:
        return seconds(value / 1000)
    return f"{value:.0f} ms" if value >= 10 else f"{value:.2g} ms"


def seconds(value: float) -> str:
    """Return a time in the largest unit that fits: `3.2 s`, `4 min`, `2.5 h`, `3 days`."""
    for unit, size in (("days", 86400.0), ("h", 3600.0), ("min", 60.0)):
        if value >= 2 * size:
            return f"{value / size:.3g} {unit}"
    return f"{value:.2g} s" if value < 10 else f"{value:.0f} s"


def factor(ours: float, theirs: float) -> str:
    """Return how much less one amount is than another: `98.7 % less`; "-" where there is nothing to compare."""
    if theirs <= 0:
        return "-"
    share = 1 - ours / theirs
    return f"{100 * share:.4g} % less" if share >= 0 else f"{-100 * share:.4g} % more"


def instant(at: float | None) -> str:
    """Return a time of the clock, in UTC, to the second: `2026-11-27 20:14:03 UTC`; "-" for none."""
    return "-" if at is None else f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M:%S} UTC"
