"""Flower's SuperLink, SuperNodes and `flwr run` as processes, beside a real FLStore."""

from pathlib import Path

import pytest

from flstore_core.client import FLStore
from services.local.running import running
from tests.frameworks.deployment import federation
from tests.frameworks.environments import environment
from tests.frameworks.pages import PAGE, changed_app, changed_lines, differences

SHOWN = "http://127.0.0.1:8080"
"""The address in the page; the test's own stands on a free port."""


def test_the_page_changes_no_more_than_three_lines() -> None:
    (shown,) = differences(PAGE.read_text())
    assert changed_lines(shown) <= 3


@pytest.mark.timeout(900)  # the environment is built first
def test_the_quick_start_app_is_recorded_once_the_pages_lines_are_in_it(tmp_path: Path) -> None:
    (shown,) = differences(PAGE.read_text())
    app = changed_app("flower_quickstart", shown, tmp_path)
    server_app = app / "quickstart" / "server_app.py"
    with federation(environment("flower"), tmp_path, nodes=2) as flower:
        with running(f"{tmp_path}/store", log=tmp_path / "flstore.log") as (url, _):
            server_app.write_text(server_app.read_text().replace(SHOWN, url))
            assert flower.run(app) == "finished:completed"
            store = FLStore(url)
            assert [(info.round, info.committed, info.clients) for info in store.rounds("quickstart")] == [
                (0, True, 0), (1, True, 2), (2, True, 2)
            ]  # fmt: skip
            last = store.round("quickstart", 2)
            assert last.base == 1
            assert last.hyperparameters["lr"] == 0.5
            assert last.members[0].metrics["num_examples"] == 200
            assert store.get_aggregate("quickstart", 2)["0"].shape == (2, 10)
        assert flower.run(app) == "finished:completed"  # without the store
