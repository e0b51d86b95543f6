"""The compiled policies, as `make bench` and `make study` use them: they decide as their source does."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("flstore_core",)
FILES = ("pyproject.toml", "setup.py", "README.md", "LICENSE")

REPLAY = """
import json
from flstore_core.simulator import read_trace, simulate, simulated_policies, to_json
from flstore_core.policies.registry import how_built
from loadgen.traces.generator import TraceSettings, generate

settings = TraceSettings(rounds=60, requests=300, hours=3.0, seed=7)
trace = read_trace(json.dumps(event) for event in generate(settings))
results = [to_json(simulate(trace, simulated_policies(), rounds * settings.round_bytes)) for rounds in (1, 3)]
print(json.dumps({"built": how_built(), "results": results}))
"""


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the package from a copy of its sources, compiled; return the folder that holds it."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("compiled")
    for package in PACKAGES:
        shutil.copytree(ROOT / package, source / package, ignore=shutil.ignore_patterns("__pycache__"))
    for file in FILES:
        shutil.copy(ROOT / file, source)
    install = "pip install --quiet --disable-pip-version-check --no-build-isolation --no-deps --target"
    words = [sys.executable, "-m", *install.split(), str(target), "."]
    subprocess.run(words, cwd=source, env={**os.environ, "FLSTORE_COMPILE": "1"}, check=True, timeout=600)
    return target


@pytest.mark.programs("cc")
@pytest.mark.timeout(700)  # the C compiler takes most of a minute of a quiet core
def test_compiled_policies_decide_as_their_source_does(compiled: Path) -> None:
    fast, plain = _replayed(compiled), _replayed(ROOT)
    assert (fast["built"], plain["built"]) == ("compiled", "interpreted")
    assert fast["results"] == plain["results"]


def _replayed(package: Path) -> dict[str, Any]:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (package, ROOT)))}
    replayed: dict[str, Any] = json.loads(subprocess.check_output([sys.executable, "-P", "-c", REPLAY], env=env))
    return replayed
