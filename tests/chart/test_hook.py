"""What `helm test` runs in the cluster does its work against real services, and fails when they do."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from manifests import chart
from services.local.running import running

SCRIPT = chart.CHART / "files" / "smoke.py"
TOKENS = (
    '[{"token": "reader"}, {"token": "one-job", "jobs": ["a"], "access": "write"}, {"token": "all", "access": "write"}]'
)


def _smoke(url: str, tokens: str = "") -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FLSTORE_URL": url, "FLSTORE_TOKENS": tokens}
    return subprocess.run([sys.executable, str(SCRIPT)], env=env, capture_output=True, text=True, check=False)


def test_the_hook_ingests_a_round_runs_workloads_and_leaves_nothing(tmp_path: Path) -> None:
    env = {**os.environ, "FLSTORE_TOKENS": TOKENS}
    with running(str(tmp_path / "store"), env=env, log=tmp_path / "log") as (url, _):
        done = _smoke(url, TOKENS)
        assert done.returncode == 0, done.stderr
        assert "ingested 5 updates" in done.stderr
        assert "aggregate ran on" in done.stderr
        jobs = httpx.get(f"{url}/v1/jobs", headers={"Authorization": "Bearer all"}, timeout=10).json()
        assert jobs["jobs"] == []
        refused = _smoke(url, '[{"token": "reader"}]')
        assert refused.returncode != 0
        assert "needs one" in refused.stderr
