"""Both shells, and the command, against all of FLStore as it really runs."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from numpy.typing import NDArray

from flstore_core.cli import main
from flstore_core.client import AsyncFLStore, FLStore
from flstore_core.errors import Conflict, InvalidParameters, NotFound, RoundCommitted, SchemaMismatch
from services.local.running import running
from tests.client.conftest import Either

Tensors = dict[str, NDArray[Any]]


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("flstore")
    with running(str(folder / "store"), log=folder / "log") as addresses:
        yield addresses.gateway


@pytest.fixture(params=[FLStore, AsyncFLStore])
def flstore(request: pytest.FixtureRequest, url: str) -> Iterator[Either]:
    with asyncio.Runner() as loop:
        either = Either(request.param(url), loop)
        yield either
        either.close()


@pytest.fixture
def job(flstore: Either, request: pytest.FixtureRequest) -> str:
    """A job of the test's own, with a committed round of five clients."""
    name = f"job-{abs(hash(request.node.nodeid))}"
    flstore.create_job(name, like=model(0), clients_per_round=5)
    flstore.put_aggregate(name, 0, model(0))
    flstore.commit(name, 0)
    for index in range(1, 6):
        flstore.put_update(name, 1, f"c{index}", model(index), metrics={"num_examples": index, "loss": 0.5})
    flstore.commit(name, 1, hyperparameters={"lr": 0.1})
    return name


def model(seed: int) -> Tensors:
    rng = np.random.default_rng(seed)
    return {"w": rng.standard_normal((30, 4)).astype(np.float32), "steps": np.array([seed], np.int64)}


def test_what_is_put_comes_back(flstore: Either, job: str) -> None:
    found = flstore.get_update(job, 1, "c3")
    assert all(np.array_equal(found[name], array) for name, array in model(3).items())
    assert all(np.array_equal(flstore.get_aggregate(job, 0)[name], array) for name, array in model(0).items())
    record = flstore.round(job, 1)
    assert record.base == 0
    assert record.by_client["c3"].metrics == {"num_examples": 3, "loss": 0.5}
    assert record.hyperparameters == {"lr": 0.1}
    assert len(flstore.download_raw(job, 1, "c3")) == record.by_client["c3"].nbytes


def test_jobs_and_rounds_are_told_of(flstore: Either, job: str) -> None:
    info = flstore.job(job)
    assert (info.parameters, info.committed, info.latest, info.clients) == (120, 2, 1, 5)
    assert [spec["name"] for spec in info.schema] == list(model(0)), "as the job was created"
    assert job in [each.job for each in flstore.jobs()]
    assert [(each.round, each.committed) for each in flstore.rounds(job)] == [(0, True), (1, True)]


def test_workloads_are_answered(flstore: Either, job: str) -> None:
    deltas = np.array([(model(index)["w"] - model(0)["w"]).ravel() for index in range(1, 6)], np.float64)
    unit = deltas / np.linalg.norm(deltas, axis=1, keepdims=True)
    answer = flstore.run(job, "cosine-similarity", round=1)
    assert np.allclose(answer.result.matrix, unit @ unit.T, atol=1e-6)
    assert answer.rounds == (1,)
    mean = flstore.run(job, "aggregate", round=1)
    expected = np.average([model(index)["w"] for index in range(1, 6)], axis=0, weights=[1, 2, 3, 4, 5])
    assert np.allclose(flstore.get_artifact(job, mean.result.artifact)["w"], expected, atol=1e-6)
    assert mean.execution.where == "shards"


def test_an_operation_gives_the_same_answer(flstore: Either, job: str) -> None:
    operation = flstore.submit(job, "malicious-filter", round=1)
    assert flstore.wait(operation).result == flstore.run(job, "malicious-filter", round=1).result


def test_errors_are_those_the_server_raised(flstore: Either, job: str) -> None:
    with pytest.raises(NotFound, match="cosine-similarity") as unknown:
        flstore.run(job, "cosine-similarty")
    assert unknown.value.extensions["request_id"]
    with pytest.raises(InvalidParameters) as bad:
        flstore.run(job, "clustering", round=1, clusters=0, restarts=1000)
    assert {each["field"].split(".")[0] for each in bad.value.extensions["errors"]} == {"clusters", "restarts"}
    with pytest.raises(SchemaMismatch, match="'w'"):
        flstore.put_update(job, 2, "c1", {**model(1), "w": np.zeros((30, 5), np.float32)})
    with pytest.raises(RoundCommitted):
        flstore.put_update(job, 1, "late", model(9))
    flstore.put_update(job, 2, "c1", model(1))
    with pytest.raises(Conflict, match="c1"):
        flstore.put_update(job, 2, "c1", model(2))
    with pytest.raises(NotFound, match="'c0' does not exist; nearest: c"):
        flstore.get_update(job, 1, "c0")


def test_the_same_again_changes_nothing(flstore: Either, job: str) -> None:
    assert flstore.put_update(job, 3, "c1", model(1)).created
    assert not flstore.put_update(job, 3, "c1", model(1)).created
    assert flstore.commit(job, 1, hyperparameters={"lr": 0.1}).number == 1
    assert flstore.create_job(job, like=model(0), clients_per_round=5).job == job


def test_a_client_is_erased(flstore: Either, job: str) -> None:
    erased = flstore.erase_client(job, "c2")
    assert (erased.client, tuple(erased.rounds)) == ("c2", (1,))
    with pytest.raises(NotFound):
        flstore.get_update(job, 1, "c2")


def test_a_job_is_removed(flstore: Either, job: str) -> None:
    flstore.delete_job(job)
    with pytest.raises(NotFound):
        flstore.job(job)


def test_the_command_shows_the_system(url: str, flstore: Either, job: str) -> None:
    runner = CliRunner(env={"FLSTORE_URL": url, "COLUMNS": "200"})

    def output(*args: str) -> str:
        result = runner.invoke(main, args)
        assert result.exit_code == 0, result.output
        return result.output

    assert job in output("status")
    status = json.loads(output("status", "--json"))
    assert {shard["state"] for shard in status["shards"]} <= {"zero", "starting", "awake", "leaving"}
    assert json.loads(output("jobs", job, "--json"))["committed"] == 2
    assert {"cosine-similarity", "metrics"} <= {each["name"] for each in json.loads(output("workloads", "--json"))}
    assert "c5" in output("run", job, "clustering", "-p", "round=1")
    assert "clusters" in output("workloads", "clustering")


def test_files_travel_by_command(url: str, flstore: Either, job: str, tmp_path: Path) -> None:
    runner = CliRunner(env={"FLSTORE_URL": url})
    np.savez(tmp_path / "c7.npz", allow_pickle=False, **model(7))
    assert runner.invoke(main, ["put", job, "4", str(tmp_path / "c7.npz"), "-m", "num_examples=7"]).exit_code == 0
    fetched = tmp_path / "back.npz"
    assert runner.invoke(main, ["get", job, "4", "c7", "-o", str(fetched)]).exit_code == 0
    with np.load(fetched) as back:
        assert np.array_equal(back["w"], model(7)["w"])
    assert flstore.round(job, 4).by_client["c7"].num_examples == 7
