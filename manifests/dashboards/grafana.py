"""Dashboards as Grafana's JSON, and alerts as Prometheus' rules."""

from collections.abc import Sequence
from typing import Any

from manifests.dashboards.base import Alert, Dashboard, Kind, Panel, Threshold, Variable

COLUMNS = 24
SCHEMA_VERSION = 39
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, Any]


def dashboard(source: Dashboard) -> Json:
    """Return what Grafana reads from a provisioned file."""
    return {
        "uid": f"flstore-{source.slug}",
        "title": f"FLStore / {source.title}",
        "description": source.description,
        "tags": ["flstore"],
        "schemaVersion": SCHEMA_VERSION,
        "editable": True,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-30m", "to": "now"},
        "timepicker": {},
        "annotations": {"list": []},
        "links": [{"type": "dashboards", "title": "FLStore", "tags": ["flstore"], "asDropdown": True}],
        "templating": {"list": [_datasource(), *(_variable(each) for each in source.variables)]},
        "panels": _laid_out(source.panels),
    }


def rules(alerts: Sequence[Alert]) -> Json:
    """Return a file of alerting rules."""
    return {"groups": [{"name": "flstore", "rules": [_rule(each) for each in alerts]}]}


def _rule(alert: Alert) -> Json:
    return {
        "alert": alert.name,
        "expr": alert.expression,
        "for": f"{alert.minutes}m",
        "labels": {"severity": alert.severity},
        "annotations": {"summary": alert.summary},
    }


def _datasource() -> Json:
    return {"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus", "hide": 0}


def _variable(variable: Variable) -> Json:
    value = {"text": variable.value, "value": variable.value}
    return {
        "name": variable.name,
        "label": variable.label,
        "type": "textbox",
        "query": variable.value,
        "current": value,
        "options": [{**value, "selected": True}],
        "hide": 0,
    }


def _laid_out(panels: Sequence[Panel]) -> list[Json]:
    """Fill rows from left to right; a panel that does not fit begins the next one."""
    placed, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > COLUMNS:
            x, y, row = 0, y + row, 0
        placed.append(_panel(panel, number, x, y))
        x, row = x + panel.width, max(row, panel.height)
    return placed


def _panel(panel: Panel, number: int, x: int, y: int) -> Json:
    return {
        "id": number,
        "type": panel.kind.value,
        "title": panel.title,
        "description": panel.description,
        "datasource": DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": query.promql,
                "legendFormat": query.legend,
            }
            for index, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _field(panel), "overrides": []},
        "options": _options(panel.kind),
    }


def _field(panel: Panel) -> Json:
    custom: Json = {"thresholdsStyle": {"mode": "dashed" if panel.threshold else "off"}}
    if panel.kind is Kind.LINES:
        custom |= {"lineWidth": 1, "fillOpacity": 20 if panel.stacked else 5, "showPoints": "never"}
        custom |= {"stacking": {"mode": "normal" if panel.stacked else "none"}}
    lowest = {"min": 0} | ({"max": 1} if panel.unit.value == "percentunit" else {})
    return {"unit": panel.unit.value, **lowest, "custom": custom, "thresholds": _thresholds(panel.threshold)}


def _thresholds(threshold: Threshold | None) -> Json:
    if threshold is None:
        steps: list[Json] = [{"color": "green", "value": None}]
    elif threshold.falling:
        colours = ("red", None), ("orange", threshold.bad), ("green", threshold.warn)
        steps = [{"color": colour, "value": value} for colour, value in colours]
    else:
        colours = ("green", None), ("orange", threshold.warn), ("red", threshold.bad)
        steps = [{"color": colour, "value": value} for colour, value in colours]
    return {"mode": "absolute", "steps": steps}


def _options(kind: Kind) -> Json:
    if kind is Kind.LINES:
        return {"legend": {"displayMode": "list", "placement": "bottom"}, "tooltip": {"mode": "multi", "sort": "desc"}}
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "value"}
