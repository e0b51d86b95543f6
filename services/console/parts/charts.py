"""Pictures as ECharts' options: loaded values in, one JSON document out. Pure, and blind to light and dark.

Colours of axes and text come with the theme (`services.console.parts.pictures`). Nothing here is animated. A tooltip is
ECharts' own, which escapes what it shows: no formatter makes markup of a name.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.console.parts import colours

Options = dict[str, Any]
Numbers = Sequence[float | None]


def lines(x: Sequence[Any], series: Mapping[str, Numbers], *, x_name: str = "round", y_name: str = "") -> Options:
    """Return one line for each series over the same places; None is a gap."""
    return {
        **_frame(x, x_name, y_name),
        "legend": {"show": len(series) > 1, "top": 0, "type": "scroll"},
        "series": [
            _line(name, values, colours.category(number)) for number, (name, values) in enumerate(series.items())
        ],
    }


def band(
    x: Sequence[Any], low: Numbers, middle: Numbers, high: Numbers, *, name: str, between: str, y_name: str = ""
) -> Options:
    """Return a line within a band, such as a median between two percentiles.

    ECharts has no bands: the upper line is stacked on the lower one, as the distance between both.
    """
    height = [None if bottom is None or top is None else top - bottom for bottom, top in zip(low, high, strict=True)]
    hidden = {"type": "line", "stack": "band", "symbol": "none", "lineStyle": {"opacity": 0}, "silent": True}
    hidden |= {"tooltip": {"show": False}}
    colour = colours.CATEGORIES[0]
    return {
        **_frame(x, "round", y_name),
        "legend": {"top": 0, "data": [name, between]},
        "series": [
            {**hidden, "name": f"{between}, below", "data": list(low)},
            {**hidden, "name": between, "data": height, "color": colour, "areaStyle": {"opacity": 0.25}},
            _line(name, middle, colour),
        ],
    }  # fmt: skip


def sparkline(values: Numbers, colour: str = colours.CATEGORIES[0]) -> Options:
    """Return a line without axes, for a table's cell; beside it stands its newest value in words."""
    return {
        "animation": False,
        "grid": {"left": 2, "right": 2, "top": 3, "bottom": 3},
        "xAxis": {"type": "category", "show": False, "data": list(range(len(values)))},
        "yAxis": {"type": "value", "show": False, "scale": True},
        "series": [_line("", values, colour)],
    }


def bars(
    names: Sequence[str],
    series: Mapping[str, Numbers],
    *,
    y_name: str = "",
    stacked: bool = False,
    logarithmic: bool = False,
) -> Options:
    """Return upright bars: for each name one of each series, side by side or on each other.

    Args:
        logarithmic: for amounts of which some are a thousand times as large as others.
    """
    return {
        **_frame(names, "", y_name),
        "yAxis": {"type": "log" if logarithmic else "value", "name": y_name},
        "legend": {"show": len(series) > 1, "top": 0, "type": "scroll"},
        "series": [
            {
                "type": "bar",
                "name": name,
                "data": list(values),
                "color": colours.category(number),
                **({"stack": "all"} if stacked else {}),
            }
            for number, (name, values) in enumerate(series.items())
        ],
    }


def heat(
    columns: Sequence[str],
    rows: Sequence[str],
    cells: Sequence[tuple[int, int, float | None]],
    *,
    low: float,
    high: float,
    name: str = "",
    scale: Sequence[str] = colours.SCALE,
) -> Options:
    """Return a map of squares: `cells` are (column, row, value), and a square without a value stays empty."""
    return {
        "animation": False,
        "tooltip": {"position": "top", "confine": True},
        "grid": {"left": 8, "right": 8, "top": 8, "bottom": 56, "containLabel": True},
        "xAxis": {"type": "category", "data": list(columns), "splitArea": {"show": False}},
        "yAxis": {"type": "category", "data": list(rows), "inverse": True, "axisLabel": {"width": 90, **_SHORT}},
        "visualMap": {
            "min": low,
            "max": high if high > low else low + 1,
            "orient": "horizontal",
            "left": "center",
            "bottom": 0,
            "itemWidth": 12,
            "itemHeight": 140,
            "text": [f"{max(high, low):.3g} {name}".strip(), f"{low:.3g}"],
            "inRange": {"color": list(scale)},
        },
        "series": [{"type": "heatmap", "name": name, "data": [list(cell) for cell in cells], "progressive": 4000}],
    }


def scatter(points: Mapping[str, Sequence[tuple[float, float, str]]], *, x_name: str = "", y_name: str = "") -> Options:
    """Return points with names, `(x, y, name)`, in a colour and shape for each group."""
    return {
        **_frame([], x_name, y_name),
        "tooltip": {"trigger": "item", "confine": True},
        "xAxis": {"type": "value", "scale": True, "name": x_name, "nameLocation": "middle", "nameGap": 26},
        "legend": {"show": len(points) > 1, "top": 0, "type": "scroll"},
        "series": [
            {
                "type": "scatter",
                "name": group,
                "symbol": _SHAPES[number % len(_SHAPES)],
                "symbolSize": 12,
                "color": colours.category(number),
                "data": [{"value": [x, y], "name": name} for x, y, name in members],
            }
            for number, (group, members) in enumerate(points.items())
        ],
    }


_SHAPES = ("circle", "rect", "triangle", "diamond", "pin", "arrow")
_SHORT = {"overflow": "truncate"}


def _frame(x: Sequence[Any], x_name: str, y_name: str) -> Options:
    return {
        "animation": False,
        "tooltip": {"trigger": "axis", "confine": True},
        "grid": {"left": 8, "right": 16, "top": 34, "bottom": 26 if x_name else 8, "containLabel": True},
        "xAxis": {"type": "category", "data": list(x), "name": x_name, "nameLocation": "middle", "nameGap": 26},
        "yAxis": {"type": "value", "scale": True, "name": y_name, "nameTextStyle": {"align": "left"}},
    }


def _line(name: str, values: Numbers, colour: str) -> Options:
    # A line of few points shows them: between two gaps there would be nothing to see.
    symbol = "circle" if len(values) <= 60 else "none"
    return {"type": "line", "name": name, "data": list(values), "color": colour, "symbol": symbol, "symbolSize": 4}
