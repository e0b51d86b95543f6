"""The steps of `make e2e` that ask the platform things do so against local processes as well."""

from pathlib import Path

import pytest

from flstore_core.client import FLStore
from services.local.running import running
from tests.e2e import __main__ as program
from tests.e2e import steps


def test_the_steps_go_through_on_one_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "COLD_S", 60.0)  # how fast it is, a busy machine does not tell
    with (
        running(str(tmp_path / "store"), idle_seconds=2.0, log=tmp_path / "log") as (url, _),
        FLStore(url, retries=8) as store,
    ):
        assert steps.ingest(store) == "3 rounds of 5 clients"
        assert steps.ask(store) == "cosine-similarity P2, aggregate P2, reputation P3, metrics P4, model P1"
        steps.reach_zero(store)
        assert steps.at_zero(store)
        assert float(steps.cold_start(store).split()[0]) > 0.1
        assert not steps.at_zero(store)


def test_without_a_cluster_the_program_says_what_it_needs(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("FLSTORE_E2E_KUBECONFIG", raising=False)
    assert program.main() == 2
    assert "FLSTORE_E2E_KUBECONFIG" in capsys.readouterr().err
