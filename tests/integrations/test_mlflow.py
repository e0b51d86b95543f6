"""Rounds of FLStore in a real MLflow, with its store in SQLite."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
from click.testing import CliRunner

from flstore_core.cli import main
from flstore_core.client import FLStore
from flstore_core.errors import InvalidParameters, NotFound, Unavailable
from flstore_core.integrations.mlflow import MLflow
from flstore_core.integrations.mlflow.keys import key_of
from tests.integrations.door import Door
from tests.integrations.models import model

Experiment = Callable[..., MLflow]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Make the database once: its migrations take seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
        patch.delenv("MLFLOW_EXPERIMENT_NAME", raising=False)
        yield f"sqlite:///{tmp_path_factory.mktemp('mlflow')}/mlflow.db"


@pytest.fixture
def client(database: str) -> Any:
    from mlflow import MlflowClient

    return MlflowClient(database)


@pytest.fixture
def experiment(client: Any, tmp_path: Path, request: pytest.FixtureRequest) -> str:
    """Return the name of an experiment that the test has for itself."""
    client.create_experiment(request.node.name, artifact_location=str(tmp_path / "artifacts"))
    return str(request.node.name)


@pytest.fixture
def tracker(database: str, experiment: str) -> Experiment:
    def make(**arguments: Any) -> MLflow:
        return MLflow(experiment, tracking_uri=database, **arguments)

    return make


def train(recording: Any, *numbers: int) -> None:
    """Have rounds recorded, in which `c1` is advised against."""
    for number in numbers:
        for name in ("c0", "c1"):
            recording.update(number, name, model(number), {"loss": 1.0 / number, "device": "phone"}, weight=10)
        recording.advise(number)
        recording.close(number, model(number), {"accuracy": 0.5 + number / 10, "failures": {"c2": "gone"}}, {"lr": 0.1})


def recorded(behind: Door, *numbers: int, **arguments: Any) -> FLStore:
    """Return a store with a job whose rounds are recorded."""
    recording = behind.recorder(advisers=[lambda store, job, round_: ["c1"]], **arguments)
    recording.begin(model(0.0))
    train(recording, *numbers)
    assert recording.finish().is_whole
    return behind.store


def history(client: Any, run_id: str, key: str) -> list[tuple[int, float]]:
    return [(metric.step, metric.value) for metric in client.get_metric_history(run_id, key)]


def document(client: Any, run_id: str, number: int) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(Path(client.download_artifacts(run_id, f"rounds/{number}.json")).read_text())
    return content


def test_a_stored_job_becomes_a_run_with_its_rounds_as_steps(behind: Door, client: Any, tracker: Experiment) -> None:
    store = recorded(behind, 1, 2)
    exported = tracker().track(store, "j")
    assert exported.rounds == (0, 1, 2)
    run = client.get_run(exported.run_id)
    assert (run.info.run_name, run.info.status) == ("j", "FINISHED")
    assert run.info.end_time == round((store.round("j", 2).committed_at or 0) * 1000)
    assert history(client, exported.run_id, "accuracy") == [(1, 0.6), (2, 0.7)]
    assert history(client, exported.run_id, "clients/c1/loss") == [(1, 1.0), (2, 0.5)]
    assert history(client, exported.run_id, "clients/c0/num_examples") == [(1, 10.0), (2, 10.0)]
    assert history(client, exported.run_id, "hyperparameters/lr") == [(1, 0.1), (2, 0.1)]
    assert history(client, exported.run_id, "flstore/updates") == [(0, 0.0), (1, 2.0), (2, 2.0)]
    assert history(client, exported.run_id, "flstore/accused") == [(0, 0.0), (1, 1.0), (2, 1.0)]
    assert run.data.params == {"lr": "0.1"}
    assert run.data.tags["accused/c1"] == "rounds 1, 2"
    assert "accused/c0" not in run.data.tags
    assert not [name for name in run.data.metrics if "device" in name or "advice" in name or "failures" in name]


def test_aggregates_are_linked_by_their_hash(behind: Door, client: Any, tracker: Experiment) -> None:
    store = recorded(behind, 1)
    run_id = tracker().track(store, "j").run_id
    aggregate = store.round("j", 1).aggregate
    assert aggregate
    told = document(client, run_id, 1)
    assert told["aggregate"] == {
        "sha256": aggregate.sha256,
        "nbytes": aggregate.nbytes,
        "href": f"{behind.url}/v1/jobs/j/rounds/1/aggregate",
    }
    assert (told["job"], told["round"], told["base"]) == ("j", 1, 0)
    assert told["metrics"]["advice"]["advised"] == {"c1": 0.0}
    assert told["metrics"]["failures"] == {"c2": "gone"}
    tags = client.get_run(run_id).data.tags
    assert tags["flstore.aggregate"] == aggregate.sha256
    assert tags["flstore.url"] == behind.url


def test_an_export_that_is_repeated_adds_what_is_new_to_the_same_run(
    behind: Door, client: Any, tracker: Experiment
) -> None:
    first = tracker().track(recorded(behind, 1), "j")
    assert tracker().track(behind.store, "j").rounds == ()
    second = tracker().track(recorded(behind, 1, resume=True), "j")
    assert second.run_id == first.run_id
    assert second.rounds == (2, 3)  # the model that the second training began with, and its round
    assert history(client, first.run_id, "accuracy") == [(1, 0.6), (3, 0.6)]
    assert client.get_run(first.run_id).data.tags["accused/c1"] == "rounds 1, 3"
    assert len(client.search_runs([first.experiment_id])) == 1


def test_a_training_is_followed_while_it_is_recorded(behind: Door, client: Any, tracker: Experiment) -> None:
    live = tracker()
    recorded(behind, 1, 2, tracker=live)
    exported = tracker().track(behind.store, "j")
    assert exported.rounds == ()
    assert history(client, exported.run_id, "accuracy") == [(1, 0.6), (2, 0.7)]
    assert client.get_run(exported.run_id).info.status == "FINISHED"
    recorded(behind, 1, resume=True, tracker=live)
    assert tracker().track(behind.store, "j").rounds == ()
    assert client.get_run(exported.run_id).info.status == "FINISHED"


def test_a_run_is_running_until_its_training_ends(behind: Door, client: Any, tracker: Experiment) -> None:
    live, store = tracker(), recorded(behind, 1)
    run_id = live.track(store, "j", ended=True).run_id
    live.track(store, "j", ended=False)
    assert client.get_run(run_id).info.status == "RUNNING"
    live.track(store, "j", ended=True)
    assert client.get_run(run_id).info.status == "FINISHED"


def test_the_run_that_is_active_is_filled_and_stays_its_owners(
    behind: Door, client: Any, database: str, experiment: str
) -> None:
    import mlflow

    mlflow.set_tracking_uri(database)
    mlflow.set_experiment(experiment)
    try:
        with mlflow.start_run(run_name="mine") as active:
            recorded(behind, 1, tracker=MLflow())
            assert client.get_run(active.info.run_id).info.status == "RUNNING"
        assert client.get_run(active.info.run_id).info.run_name == "mine"
        assert history(client, active.info.run_id, "accuracy") == [(1, 0.6)]
        assert MLflow().track(behind.store, "j").run_id == active.info.run_id
    finally:
        mlflow.set_tracking_uri(None)


def test_a_run_of_another_job_is_not_written_into(behind: Door, tracker: Experiment) -> None:
    run_id = tracker().track(recorded(behind, 1), "j").run_id
    recorded(behind, 1, job="other")
    with pytest.raises(InvalidParameters, match=f"run {run_id} has flstore.job 'j', not 'other'; name another run"):
        tracker(run_id=run_id).track(behind.store, "other")


def test_a_job_that_was_deleted_and_made_anew_gets_a_run_of_its_own(behind: Door, tracker: Experiment) -> None:
    first = tracker().track(recorded(behind, 1), "j")
    behind.store.delete_job("j")
    behind.gateway.time.sleep(1.0)
    second = tracker().track(recorded(behind, 1), "j")
    assert second.run_id != first.run_id
    assert second.rounds == (0, 1)


def test_an_open_round_is_not_written(behind: Door, tracker: Experiment) -> None:
    store = recorded(behind, 1)
    store.put_update("j", 2, "c0", model(1.0))
    assert tracker().track(store, "j").rounds == (0, 1)


def test_metrics_do_not_wait_for_a_place_for_artifacts_that_is_out_of_order(
    behind: Door, client: Any, tracker: Experiment, tmp_path: Path
) -> None:
    (tmp_path / "artifacts").write_text("no folder")
    store = recorded(behind, 1, 2)
    with pytest.raises(Unavailable, match="MLflow does not take what is to be tracked: "):
        tracker().track(store, "j")
    (tmp_path / "artifacts").unlink()
    exported = tracker().track(store, "j")
    assert exported.rounds == ()
    assert history(client, exported.run_id, "accuracy") == [(1, 0.6), (2, 0.7)]
    assert document(client, exported.run_id, 2)["round"] == 2


def test_an_export_that_broke_off_in_a_round_writes_that_round_again_and_nothing_twice(
    behind: Door, client: Any, tracker: Experiment
) -> None:
    from mlflow import MlflowClient

    real, calls = MlflowClient.log_batch, []

    def break_off(self: Any, run_id: str, **batches: Any) -> None:
        calls.append(batches)
        if len(calls) == 5:  # of the second round's metrics
            raise ConnectionError("the cable is out")
        real(self, run_id, **batches)

    store = recorded(behind, *range(1, 4))
    with mock.patch.object(MlflowClient, "log_batch", break_off), pytest.raises(Unavailable, match="the cable is out"):
        tracker().track(store, "j")
    exported = tracker().track(store, "j")
    assert exported.rounds
    assert history(client, exported.run_id, "accuracy") == [(1, 0.6), (2, 0.7), (3, 0.8)]
    assert client.get_run(exported.run_id).data.tags["accused/c1"] == "rounds 1, 2, 3"


def test_more_metrics_than_mlflow_takes_at_once_are_written_in_batches(
    behind: Door, client: Any, tracker: Experiment
) -> None:
    recording = behind.recorder(advice=None)
    recording.begin(model(0.0))
    recording.update(1, "c0", model(1.0), {f"m{number}": number for number in range(1100)})
    recording.close(1, None, None, {f"h{number}": number for number in range(120)})
    recording.finish()
    run = client.get_run(tracker().track(behind.store, "j").run_id)
    assert run.data.metrics["clients/c0/m1099"] == 1099.0
    assert len(run.data.params) == 120


def test_clients_own_metrics_can_be_left_out(behind: Door, client: Any, tracker: Experiment) -> None:
    run = client.get_run(tracker(per_client=False).track(recorded(behind, 1), "j").run_id)
    assert not [name for name in run.data.metrics if name.startswith("clients/")]
    assert run.data.metrics["accuracy"] == 0.6


def test_names_that_mlflow_does_not_take_are_changed_and_stay_apart(
    behind: Door, client: Any, tracker: Experiment
) -> None:
    recording = behind.recorder("Hospital A/ä", advice=None)
    recording.begin(model(0.0))
    recording.update(
        1, "ipv4:10.0.0.1:80", model(1.0), {"loss": 1.0, "á": np.float32(2.0), "../up": 3, "a:b": 4, "a_b": 5}
    )
    recording.close(1, model(1.0), {"nested": {"deep": {"f1": 0.5}}, "huge": 10**400, "flag": True, "": 1, ".": 2})
    recording.finish()
    run = client.get_run(tracker().track(behind.store, "Hospital A/ä").run_id)
    assert run.info.run_name == "Hospital A/ä"
    values = {name.partition("-")[0]: value for name, value in run.data.metrics.items()}
    assert values["nested/deep/f1"] == 0.5
    assert values["flag"] == 1.0
    assert sorted(value for name, value in run.data.metrics.items() if "10.0.0.1" in name) == [1, 2, 3, 4, 5]


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("accuracy", "accuracy"),
        ("val/loss top-5", "val/loss top-5"),
        ("a:b", "a_b-"),
        ("../x", "_.._x-"),
        ("/x", "__x-"),
        ("a//b", "_a__b-"),
        ("", "_-"),
        ("x" * 300, "x" * 241 + "-"),
    ],
)
def test_keys_are_what_mlflow_takes(name: str, key: str) -> None:
    from mlflow.utils.validation import _validate_metric_name

    _validate_metric_name(key_of(name))
    assert key_of(name).startswith(key)
    assert (key_of(name) == name) == (key == name)


def test_a_job_that_does_not_exist_is_named(behind: Door, tracker: Experiment) -> None:
    with pytest.raises(NotFound, match="'nobody' does not exist"):
        tracker().track(behind.store, "nobody")


def test_without_mlflow_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flstore_core.integrations.mlflow.tracker.find_spec", lambda name: None)
    monkeypatch.setattr("flstore_core.integrations.mlflow.tracker.sys", mock.Mock(modules={}))
    with pytest.raises(InvalidParameters, match=r"pip install 'flstore\[mlflow\]'"):
        MLflow()


def test_the_experiment_is_the_one_that_the_environment_names(
    behind: Door, client: Any, experiment: str, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = client.get_experiment_by_name(experiment).experiment_id
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", experiment)
    monkeypatch.delenv("MLFLOW_EXPERIMENT_ID", raising=False)
    assert MLflow(tracking_uri=database).track(recorded(behind, 1), "j").experiment_id == wanted


def test_the_command_tells_which_run_it_filled(behind: Door, client: Any, experiment: str, database: str) -> None:
    recorded(behind, 1)
    options = ["--url", behind.url, "--experiment", experiment, "--tracking-uri", database]
    shown = CliRunner().invoke(main, ["export", "mlflow", "j", *options])
    assert shown.output.endswith(": 2 rounds added\n"), shown.output
    again = json.loads(CliRunner().invoke(main, ["export", "mlflow", "j", "--json", *options]).output)
    assert again["rounds"] == []
    assert history(client, again["run_id"], "accuracy") == [(1, 0.6)]
