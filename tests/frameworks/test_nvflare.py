"""NVFlare's simulator as processes, beside a real FLStore."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from flstore_core.client import FLStore
from services.local.running import running
from tests.frameworks.environments import environment
from tests.frameworks.pages import changed_app, changed_lines, difference
from tests.frameworks.simulation import simulate
from tests.servers import free_ports


def test_the_page_changes_no_more_than_three_lines() -> None:
    assert changed_lines(difference("NVFlare")) <= 3


@pytest.mark.timeout(900)  # the environment is built first
def test_the_quick_start_app_is_recorded_once_the_pages_lines_are_in_it(tmp_path: Path) -> None:
    shown, (nowhere,) = difference("NVFlare"), free_ports(1)
    programs = environment("nvflare")
    folders = [tmp_path / name for name in ("recorded", "alone", "referring")]
    with running(f"{tmp_path}/store", log=tmp_path / "flstore.log") as (url, _), ThreadPoolExecutor() as pool:
        urls = (url, f"http://127.0.0.1:{nowhere}", url)
        apps = [changed_app("nvflare_quickstart", shown, *where) for where in zip(urls, folders, strict=True)]
        _go_by_reference(apps[2] / "job.py")
        runs = [pool.submit(simulate, programs, *where, url) for where in zip(apps, folders, strict=True)]
        recorded, alone, referring = (run.result() for run in runs)
        assert "FLStore has 2 rounds with 4 updates" in recorded
        assert "Finished FedAvg" in alone  # without the store
        assert "FLStore has 2 rounds with 4 updates" in referring
        store = FLStore(url)
        for job in ("quickstart", "by-reference"):
            assert [(info.round, info.committed, info.clients) for info in store.rounds(job)] == [
                (0, True, 0), (1, True, 2), (2, True, 2)
            ]  # fmt: skip
            last = store.round(job, 2)
            assert last.base == 1
            assert last.metrics["accuracy"] > 0.9
            assert {str(member.client) for member in last.members} == {"site-1", "site-2"}
            assert last.members[0].metrics["num_examples"] == 200
        model = store.get_aggregate("quickstart", 2)["numpy_key"]
        assert model.shape == (2, 11)
        assert np.allclose(store.get_aggregate("by-reference", 2)["numpy_key"], model, rtol=1e-4)


def _go_by_reference(program: Path) -> None:
    """Have an app that is recorded go by reference, as the page says."""
    text = program.read_text()
    for recorded, referring in (
        ("import FLStoreAggregator", "import FLStoreAggregator, by_reference"),
        ('job="quickstart"', 'job="by-reference", transport="reference"'),
        ("recipe.execute", "by_reference(recipe).execute"),
    ):
        assert recorded in text
        text = text.replace(recorded, referring)
    program.write_text(text)
