"""Grafana dashboards and Prometheus alerts as code: what is asked of the metrics, with units, words and thresholds.

The metrics themselves are declared by the services. `tests.dashboards` asks a real Prometheus every question here.
"""

from manifests.dashboards.alerts import ALERTS
from manifests.dashboards.base import Alert, Dashboard, Panel, Query
from manifests.dashboards.cache import CACHE
from manifests.dashboards.cost import COST
from manifests.dashboards.overview import OVERVIEW
from manifests.dashboards.scale_to_zero import SCALE_TO_ZERO

DASHBOARDS = (OVERVIEW, CACHE, SCALE_TO_ZERO, COST)

__all__ = ["ALERTS", "DASHBOARDS", "Alert", "Dashboard", "Panel", "Query"]
