"""Every panel and alert gets an answer from real services, says what it shows, and is what the chart ships."""

import json
import subprocess
from pathlib import Path

import pytest
import yaml

from manifests.dashboards import ALERTS, DASHBOARDS, Dashboard, grafana
from tests.dashboards.check import check
from tests.dashboards.system import find

ROOT = Path(__file__).parents[2]
CHART = ROOT / "charts" / "flstore"


@pytest.mark.programs("prometheus")
def test_every_panel_and_every_alert_has_data() -> None:
    assert [each for each in check() if not each.series] == []


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda each: each.slug)
def test_every_panel_says_what_it_shows_and_lies_beside_the_others(dashboard: Dashboard) -> None:
    board = grafana.dashboard(dashboard)
    cells: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        assert len(panel["description"]) > 20
        assert panel["fieldConfig"]["defaults"]["unit"]
        assert panel["fieldConfig"]["defaults"]["thresholds"]["steps"]
        at = panel["gridPos"]
        covered = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert not covered & cells
        assert at["x"] + at["w"] <= 24
        cells |= covered
    assert len({panel["title"] for panel in board["panels"]}) == len(board["panels"])


def test_the_chart_ships_the_four_dashboards_and_no_others() -> None:
    shipped = {path.stem: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}
    assert shipped == {each.slug: grafana.dashboard(each) for each in DASHBOARDS}
    assert sorted(shipped) == ["cache", "cost", "overview", "scale-to-zero"]


@pytest.mark.programs("promtool")
def test_promtool_accepts_the_alerts_that_the_chart_ships() -> None:
    path = CHART / "files" / "alerts.yml"
    assert yaml.safe_load(path.read_text()) == grafana.rules(ALERTS)
    done = subprocess.run([find("promtool"), "check", "rules", str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(ALERTS)} rules found" in done.stdout
