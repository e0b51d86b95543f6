"""FLStore's components in jobs as NVFlare writes them, and constructs their components from."""

import json
from pathlib import Path
from typing import Any

import pytest
from nvflare.app_common.aggregators.model_aggregator import ModelAggregator
from nvflare.app_common.workflows.fedavg import FedAvg
from nvflare.fuel.utils.component_builder import ComponentBuilder
from nvflare.job_config.api import FedJob

from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters
from flstore_core.integrations.nvflare import FLStoreAggregator, FLStoreObserver
from flstore_core.integrations.recorder import Limits
from tests.integrations.test_nvflare import Median, half_and_quarter

URL = "https://flstore.example"


class Told:
    """A tracker as users write them: its attributes are named as its arguments are."""

    def __init__(self, experiment: str = "") -> None:
        self._experiment = experiment

    def track(self, store: FLStore, job: str, *, ended: bool) -> None:
        """Track nothing."""


class Builder(ComponentBuilder):  # type: ignore[misc]
    """Constructs components as a server does."""

    def get_module_scanner(self) -> Any:
        raise NotImplementedError


def exported(aggregator: ModelAggregator, folder: Path) -> tuple[Path, dict[str, Any]]:
    """Return the app that a job is exported to, and what it says of its aggregator."""
    job = FedJob(name="job", min_clients=2)
    job.to_server(FedAvg(num_clients=2, aggregator=aggregator))
    job.to_server(FLStoreObserver(URL, "seen"))
    job.export_job(str(folder))
    (config,) = folder.rglob("config_fed_server.json")
    (workflow,) = json.loads(config.read_text())["workflows"]
    return config.parents[1], workflow["args"]["aggregator"]


def test_a_job_names_the_component_and_its_arguments(tmp_path: Path) -> None:
    _, written = exported(FLStoreAggregator(URL), tmp_path)
    assert written == {
        "path": "flstore_core.integrations.nvflare.aggregator.FLStoreAggregator",
        "args": {"url": URL},
    }


def test_the_server_constructs_the_component_that_was_written(tmp_path: Path) -> None:
    original = FLStoreAggregator(
        URL,
        "digits",
        aggregator=Median(),
        resume=True,
        advice="weigh",
        advisers=["reputation", half_and_quarter],
        schedule="schedule-clusters",
        exclude_vars="bn",
        aggregation_weights={"site-1": 2.0},
        required=True,
        tracker=Told("digits"),
        limits=Limits(deadline_s=0.5, spool=Path("/var/spool")),
        settings={"weight_key": "n"},
    )
    _, written = exported(original, tmp_path)
    built = Builder().build_component(written)
    assert isinstance(built.aggregator, Median)
    assert isinstance(built.tracker, Told)
    assert built.tracker._experiment == "digits"
    for name in ("url", "job", "resume", "advice", "advisers", "schedule", "exclude_vars", "required"):
        assert getattr(built, name) == getattr(original, name)
    assert built.advisers == ("reputation", "tests.integrations.test_nvflare:half_and_quarter")
    assert built.limits == {"deadline_s": 0.5, "spool": "/var/spool"}
    assert (built.aggregation_weights, built.settings) == ({"site-1": 2.0}, {"weight_key": "n"})


def test_a_job_holds_neither_a_token_nor_flstores_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLSTORE_TOKEN", "very-secret")
    app, _ = exported(FLStoreAggregator(URL), tmp_path)
    files = [path for path in app.rglob("*") if path.is_file()]
    assert [path.name for path in files] == ["config_fed_server.json"]
    assert "very-secret" not in files[0].read_text()


def test_the_server_has_the_token_in_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FLSTORE_TOKEN", "very-secret")
    seen: list[Any] = []
    monkeypatch.setattr(
        "flstore_core.integrations.nvflare.configured.FLStore", lambda url, token: seen.append((url, token))
    )
    FLStoreObserver(URL)
    assert seen == [(URL, "very-secret")]


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"url": "https://user:secret@flstore.example"}, "would publish"),
        ({"advisers": [lambda store, job, round_: []]}, "define it in a module"),
        ({"advisers": ["tests.integrations.test_nvflare:nothing"]}, "cannot be imported"),
        ({"advisers": ["no.such.module:f"]}, "cannot be imported"),
        ({"limits": {"deadline": 3}}, "limits has \\['deadline'\\]"),
        ({"limits": {"deadline_s": -1}}, "a number from 0"),
        ({"aggregator": object()}, "is no ModelAggregator"),
    ],
)
def test_arguments_that_no_job_can_hold_are_refused(arguments: dict[str, Any], why: str) -> None:
    with pytest.raises(InvalidParameters, match=why):
        FLStoreAggregator(**{"url": URL, **arguments})


def test_advice_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="follow"):
        FLStoreAggregator(URL, advice="follow")  # type: ignore[arg-type]
