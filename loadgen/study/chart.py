"""Curves of hit rate against budget, as a self-contained SVG."""

import math
from collections.abc import Mapping, Sequence
from html import escape

WIDTH, HEIGHT = 720, 400
LEFT, RIGHT, TOP, BOTTOM = 56, 170, 36, 48
COLOURS = ("#d62728", "#1f77b4", "#17becf", "#2ca02c", "#9467bd", "#8c564b", "#e377c2", "#7f7f7f")

Curve = Sequence[tuple[float, float]]
"""Budgets in rounds with hit rates from 0 to 1."""


def chart(title: str, curves: Mapping[str, Curve]) -> str:
    """Return an SVG with one line for each curve; the axis of budgets is logarithmic."""
    budgets = sorted({budget for curve in curves.values() for budget, _ in curve})
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}"',
        ' font-family="sans-serif" font-size="12">',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="20" font-size="14" font-weight="bold">{escape(title)}</text>',
        *_grid(budgets),
        *(_line(number, name, curve, budgets) for number, (name, curve) in enumerate(curves.items())),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _grid(budgets: Sequence[float]) -> list[str]:
    end = WIDTH - RIGHT
    lines = []
    for tenth in range(0, 11, 2):
        y = _y(tenth / 10)
        lines.append(f'<path d="M{LEFT} {y:.1f}H{end}" stroke="#ddd"/>')
        lines.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth * 10} %</text>')
    for budget in budgets:
        x = _x(budget, budgets)
        lines.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{budget:g}</text>')
    middle = (LEFT + end) / 2
    lines.append(f'<text x="{middle:.0f}" y="{HEIGHT - 10}" text-anchor="middle">budget in rounds of the model</text>')
    return lines


def _line(number: int, name: str, curve: Curve, budgets: Sequence[float]) -> str:
    colour = COLOURS[number % len(COLOURS)]
    points = " ".join(f"{_x(budget, budgets):.1f},{_y(rate):.1f}" for budget, rate in sorted(curve))
    y = TOP + 14 + 18 * number
    x = WIDTH - RIGHT + 16
    return (
        f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        f'<path d="M{x} {y - 4}h18" stroke="{colour}" stroke-width="2"/>'
        f'<text x="{x + 24}" y="{y}">{escape(name)}</text>'
    )


def _x(budget: float, budgets: Sequence[float]) -> float:
    first, last = math.log2(budgets[0]), math.log2(budgets[-1])
    return LEFT + 10 + (math.log2(budget) - first) / ((last - first) or 1) * (WIDTH - RIGHT - LEFT - 20)


def _y(rate: float) -> float:
    return TOP + (1 - rate) * (HEIGHT - TOP - BOTTOM)
