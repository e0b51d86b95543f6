"""Ask every question of the dashboards and alerts, and count which are answered."""

import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from manifests.dashboards import ALERTS, DASHBOARDS, Dashboard, Panel
from tests.dashboards.system import Local, Prometheus, load, local_system, prometheus

DEADLINE_S = 20.0
INTERVALS = {"__rate_interval": "15s", "__range": "1m"}
"""What Grafana would put in, cut to the short life of a test."""


@dataclass(frozen=True, slots=True)
class Answered:
    """One question, what became of it, and of which panel or alert it is."""

    where: str
    promql: str
    series: int


def check() -> list[Answered]:
    """Run the services, a little load and Prometheus; return every question with its number of series."""
    with tempfile.TemporaryDirectory(prefix="dashboards-") as name:
        folder = Path(name)
        with local_system(folder) as system:
            load(system, seed=1)
            targets = {"gateway": [system.gateway], "placement": [system.placement], "shard": system.shards()}
            with prometheus(folder, targets) as server:
                return _ask_until_answered(server, system)


def _ask_until_answered(server: Prometheus, system: Local) -> list[Answered]:
    """Load goes on meanwhile: a rate needs two samples, and a ratio something to divide by."""
    end, seed = time.monotonic() + DEADLINE_S, 2
    while True:
        load(system, seed)
        answered = [Answered(where, promql, len(server.query(promql))) for where, promql in questions()]
        if all(each.series for each in answered) or time.monotonic() > end:
            return answered
        seed += 1


def questions() -> Iterator[tuple[str, str]]:
    """Yield where each question stands, and its PromQL as Prometheus would get it."""
    for dashboard in DASHBOARDS:
        for panel in dashboard.panels:
            yield from _of_panel(dashboard, panel)
    for alert in ALERTS:
        yield f"alert {alert.name}", alert.promql


def _of_panel(dashboard: Dashboard, panel: Panel) -> Iterator[tuple[str, str]]:
    known = INTERVALS | {variable.name: variable.value for variable in dashboard.variables}
    for query in panel.queries:
        promql = re.sub(r"\$(\w+)", lambda found: known[found[1]], query.promql)
        yield f"{dashboard.title} / {panel.title}", promql
