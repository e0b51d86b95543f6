"""A chart on the page: in the viewer's light or dark, and in words for whoever cannot see it."""

from typing import Any, Final

from nicegui import ui

from services.console.parts.charts import Options
from services.console.parts.theme import is_dark


def _theme(ink: str, faint: str, ground: str) -> dict[str, Any]:
    axis = {
        "axisLine": {"lineStyle": {"color": faint}},
        "axisTick": {"lineStyle": {"color": faint}},
        "axisLabel": {"color": ink, "hideOverlap": True},
        "nameTextStyle": {"color": ink},
        "splitLine": {"lineStyle": {"color": faint, "opacity": 0.4}},
    }
    return {
        "backgroundColor": "transparent",
        "textStyle": {"color": ink},
        "legend": {"textStyle": {"color": ink}, "pageTextStyle": {"color": ink}},
        "tooltip": {"backgroundColor": ground, "borderColor": faint, "textStyle": {"color": ink}},
        "visualMap": {"textStyle": {"color": ink}},
        "categoryAxis": {**axis, "splitLine": {"show": False}},
        "valueAxis": axis,
    }


LIGHT: Final = _theme("#24292f", "#8c959f", "#ffffff")
DARK: Final = _theme("#e6edf3", "#6e7681", "#1c2128")


def picture(options: Options, label: str, height: int = 260) -> ui.echart:
    """Draw a chart.

    Args:
        label: says what it shows, for whoever cannot see it: a sentence with the figures that matter.
        height: in pixels; its width is that of the place it stands in.
    """
    chart = ui.echart(options, theme=DARK if is_dark() else LIGHT, renderer="canvas")
    chart.classes("picture").style(f"height: {height}px")
    chart.props["role"], chart.props["aria-label"] = "img", label
    return chart
