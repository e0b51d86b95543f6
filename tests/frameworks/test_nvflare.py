"""NVFlare's simulator as processes, beside a real FLStore."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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
    with running(f"{tmp_path}/store", log=tmp_path / "flstore.log") as (url, _), ThreadPoolExecutor(1) as other:
        app = changed_app("nvflare_quickstart", shown, f"http://127.0.0.1:{nowhere}", tmp_path / "alone")
        alone = other.submit(simulate, programs, app, tmp_path / "alone")
        app = changed_app("nvflare_quickstart", shown, url, tmp_path / "recorded")
        assert "FLStore has 2 rounds with 4 updates" in simulate(programs, app, tmp_path / "recorded")
        store = FLStore(url)
        assert [(info.round, info.committed, info.clients) for info in store.rounds("quickstart")] == [
            (0, True, 0), (1, True, 2), (2, True, 2)
        ]  # fmt: skip
        last = store.round("quickstart", 2)
        assert last.base == 1
        assert last.metrics["accuracy"] > 0.9
        assert {str(member.client) for member in last.members} == {"site-1", "site-2"}
        assert last.members[0].metrics["num_examples"] == 200
        assert store.get_aggregate("quickstart", 2)["numpy_key"].shape == (2, 11)
        assert "Finished FedAvg" in alone.result()  # without the store
