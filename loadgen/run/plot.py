"""Line plots as self-contained SVG."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 170, 34, 46
COLOURS = ("#d62728", "#1f77b4", "#2ca02c", "#9467bd", "#8c564b", "#17becf", "#e377c2", "#7f7f7f")

Curve = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Axis:
    """One direction of a plot."""

    label: str
    low: float
    high: float
    logarithmic: bool = False

    @classmethod
    def over(cls, label: str, values: Sequence[float], *, logarithmic: bool = False, zero: bool = False) -> "Axis":
        """Return an axis that covers all `values`."""
        usable = [value for value in values if value > 0] if logarithmic else [*values, *([0.0] if zero else [])]
        low, high = (min(usable), max(usable)) if usable else (0.0, 1.0)
        if logarithmic:
            low, high = 10.0 ** math.floor(math.log10(low or 1e-3)), 10.0 ** math.ceil(math.log10(high or 1.0))
        return cls(label, low, high if high > low else low * 1.1 + 1e-9, logarithmic)

    def share(self, value: float) -> float:
        """Return the position of `value` on the axis, from 0 to 1."""
        if self.logarithmic:
            return math.log(max(value, self.low) / self.low) / math.log(self.high / self.low)
        return (value - self.low) / (self.high - self.low)

    def ticks(self) -> list[float]:
        if not self.logarithmic:
            return [self.low + (self.high - self.low) * part / 4 for part in range(5)]
        first, last = round(math.log10(self.low)), round(math.log10(self.high))
        return [10.0**power for power in range(first, last + 1)]


def plot(title: str, curves: Mapping[str, Curve], x: Axis, y: Axis) -> str:
    """Return an SVG with a line for each curve and a legend."""
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_grid(x, y),
        *(_line(index, name, curve, x, y) for index, (name, curve) in enumerate(curves.items())),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(x: Axis, y: Axis) -> list[str]:
    end, foot = WIDTH - RIGHT, HEIGHT - BOTTOM
    lines = []
    for tick in y.ticks():
        at = _down(y, tick)
        lines.append(f'<path d="M{LEFT} {at:.1f}H{end}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 6}" y="{at + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    for tick in x.ticks():
        at = _across(x, tick)
        lines.append(f'<path d="M{at:.1f} {TOP}V{foot}" stroke="#eee"/>')
        lines.append(f'<text x="{at:.1f}" y="{foot + 16}" text-anchor="middle">{tick:.4g}</text>')
    lines.append(f'<text x="{(LEFT + end) / 2:.0f}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x.label)}</text>')
    lines.append(f'<text x="{LEFT}" y="{TOP - 4}" fill="#555">{escape(y.label)}</text>')
    return lines


def _line(index: int, name: str, curve: Curve, x: Axis, y: Axis) -> str:
    colour = COLOURS[index % len(COLOURS)]
    points = " ".join(f"{_across(x, a):.1f},{_down(y, b):.1f}" for a, b in curve)
    legend, row = WIDTH - RIGHT + 12, TOP + 14 + 17 * index
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<path d="M{legend} {row - 4}h16" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{legend + 20}" y="{row}">{escape(name)}</text>'
    )


def _across(axis: Axis, value: float) -> float:
    return LEFT + axis.share(value) * (WIDTH - RIGHT - LEFT)


def _down(axis: Axis, value: float) -> float:
    return TOP + (1 - axis.share(value)) * (HEIGHT - TOP - BOTTOM)
