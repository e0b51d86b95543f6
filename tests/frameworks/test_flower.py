"""Flower's SuperLink, SuperNodes and `flwr run` as processes, beside a real FLStore."""

from pathlib import Path

import numpy as np
import pytest

from flstore_core.client import FLStore
from services.local.running import running
from tests.frameworks.deployment import federation
from tests.frameworks.environments import environment
from tests.frameworks.pages import changed_app, changed_lines, difference
from tests.servers import free_ports


def test_the_page_changes_no_more_than_three_lines() -> None:
    assert changed_lines(difference("Flower")) <= 3


@pytest.mark.timeout(900)  # the environment is built first
def test_the_quick_start_app_is_recorded_once_the_pages_lines_are_in_it(tmp_path: Path) -> None:
    shown, (nowhere,) = difference("Flower"), free_ports(1)
    by_reference = difference("By reference")
    programs = environment("flower")
    with running(f"{tmp_path}/store", log=tmp_path / "flstore.log") as (url, _):
        recorded = changed_app("flower_quickstart", shown, url, tmp_path / "recorded")
        alone = changed_app("flower_quickstart", shown, f"http://127.0.0.1:{nowhere}", tmp_path / "alone")
        referring = changed_app("flower_quickstart", by_reference, url, tmp_path / "referring")
        with federation(programs, tmp_path, nodes=2, allowed=url) as flower:
            # With the store, without it, and by reference, side by side.
            assert flower.run(recorded, alone, referring) == ["finished:completed"] * 3
        store = FLStore(url)
        assert [(info.round, info.committed, info.clients) for info in store.rounds("quickstart")] == [
            (0, True, 0), (1, True, 2), (2, True, 2)
        ]  # fmt: skip
        last = store.round("quickstart", 2)
        assert last.base == 1
        assert last.hyperparameters["lr"] == 0.5
        assert last.members[0].metrics["num_examples"] == 200
        assert store.get_aggregate("quickstart", 2)["0"].shape == (2, 10)
        assert [(info.round, info.committed, info.clients) for info in store.rounds("by-reference")] == [
            (0, True, 0), (1, True, 2), (2, True, 2)
        ]  # fmt: skip
        assert store.run("by-reference", "provenance", last=2, verify=True).result.verified
        for name, array in store.get_aggregate("by-reference", 2).items():
            np.testing.assert_allclose(array, store.get_aggregate("quickstart", 2)[name], rtol=1e-6)
