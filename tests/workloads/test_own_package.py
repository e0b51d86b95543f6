"""A user's package, installed by pip, adds workloads to the registry and to a running FLStore."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree

import numpy as np
import pytest

from flstore_core.client import FLStore
from flstore_core.workloads import registry
from flstore_core.workloads.describe import validate
from services.local.running import running
from tests.truth.page import PAGE, catalogue
from tests.workloads.rounds import ask, make_round

SOURCE = Path(__file__).parents[1] / "fixtures" / "our_workloads"
INSTALL = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--no-build-isolation"]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install the package into a folder of its own, as a user would."""
    folder = tmp_path_factory.mktemp("site")
    source = copytree(SOURCE, tmp_path_factory.mktemp("source") / "our_workloads")
    done = subprocess.run(
        [*INSTALL, "--disable-pip-version-check", "--target", str(folder), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def on_path(installed: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(installed))
    registry.forget()
    yield
    for name in [name for name in sys.modules if name.startswith("our_workloads")]:
        del sys.modules[name]
    registry.forget()


@pytest.mark.usefixtures("on_path")
def test_the_registry_finds_what_the_package_adds() -> None:
    assert {"longest-updates", "sign-agreement"} <= registry.load().keys()
    assert registry.get_weights("sign-agreement").reads_base
    assert validate(registry.get("longest-updates"), {"round": 3}).round == 3
    answer = ask(registry.get("longest-updates"), make_round(np.diag([1.0, 3, 2])))
    assert list(answer.norms.items()) == [("c1", 3), ("c2", 2), ("c0", 1)]


def test_a_running_flstore_answers_them_one_over_statistics_and_one_next_to_the_data(
    installed: Path, tmp_path: Path
) -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(installed), os.environ.get("PYTHONPATH", "")])}
    rng = np.random.default_rng(0)
    deltas = rng.standard_normal((3, 900)).astype(np.float32) + 1
    with running(str(tmp_path / "store"), shards=2, env=env, log=tmp_path / "log") as (url, _), FLStore(url) as client:
        client.create_job("own", like={"w": deltas[0]}, slices=2)
        for row, delta in enumerate(deltas):
            client.put_update("own", 0, f"c{row}", {"w": delta})
        client.commit("own", 0)
        lengths = client.run("own", "longest-updates").result.raw["norms"]
        agreement = client.run("own", "sign-agreement").result.raw
    assert lengths == pytest.approx({f"c{row}": float(np.linalg.norm(delta)) for row, delta in enumerate(deltas)})
    same = (deltas > 0).all(axis=0) | (deltas < 0).all(axis=0)
    assert agreement == {"share": pytest.approx(float(same.mean())), "slices": 2, "tensors_left_out": []}


def test_the_page_shows_that_package_in_thirty_lines() -> None:
    shown = re.search(r"<!-- own: begin -->\n```python\n(.*?)```\n<!-- own: end -->", PAGE.read_text(), re.DOTALL)
    assert shown is not None
    assert shown.group(1) == (SOURCE / "our_workloads" / "longest.py").read_text()
    assert len(shown.group(1).splitlines()) <= 30


def test_the_page_lists_every_built_in_workload_as_it_is() -> None:
    assert catalogue() in PAGE.read_text()
