"""Long runs: they tell how far they have come, end when nobody waits any more, and end at their limits."""

from collections.abc import Iterator

import httpx
import numpy as np
import pytest

from flstore_core import layout
from flstore_core.errors import OperationCancelled
from flstore_core.generations import Generations
from flstore_core.ids import JobId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import ModelRef, RunRequest
from flstore_core.patterns import Pattern
from flstore_core.records import Round
from flstore_core.storage.documents import load_json
from services.common.timing import RealTime
from services.gateway.backends.calls import Calls
from services.gateway.backends.predictors import Predictors
from tests.models import digits
from tests.models.fixtures import SETTINGS, ask, job_of, put_dataset, put_round
from tests.models.networks import Perceptron, exported
from tests.running.jobs import JobOverHttp, problem
from tests.running.processes import System, system
from tests.waiting import eventually

ROWS = 5_000
LONG = {"dataset": "large", "batch_size": 1}
"""An evaluation of six models that takes some seconds: one example at a time."""


@pytest.fixture(scope="module")
def limited(tmp_path_factory: pytest.TempPathFactory) -> Iterator[JobOverHttp]:
    """The digits in a system whose runs may take two seconds on one core, and hold little."""
    folder = tmp_path_factory.mktemp("limited")
    limits = {"FLSTORE_RUN_SECONDS": "2", "FLSTORE_RUN_BYTES": "256KiB", "FLSTORE_TORCH_THREADS": "1"}
    with system(str(folder / "store"), folder, {}, {**SETTINGS, **limits}) as running:
        running.http.timeout = httpx.Timeout(120.0)
        yield with_large_data(running)


def with_large_data(running: System) -> JobOverHttp:
    trained = digits.trained()
    job = job_of(running.http, trained.base)
    put_round(job, 1, trained.clients, trained.aggregate)
    assert job.http.put(f"{job.url}/model", content=exported(Perceptron(), trained.inputs[:4])).status_code == 201
    put_dataset(job, "large", {"inputs": np.zeros((ROWS, 64), np.float32), "targets": np.zeros(ROWS, np.int64)})
    return job


def predictor_of(running: System) -> str:
    (found,) = [str(each["url"]) for each in running.shards() if each["shard"] == "predictor-0"]
    return found


def request_of(running: System, job: JobOverHttp) -> RunRequest:
    """Return what a gateway would ask a predictor for `LONG`."""
    name = JobId(job.name)
    home = Generations(running.store).read(name).home
    record = Round.from_json(load_json(running.store, layout.round_record(home, 1)))
    program = load_json(running.store, layout.program_record(home))["sha256"]
    large = load_json(running.store, layout.dataset_record(home, "large"))["sha256"]
    models = tuple(ModelRef.of(ModelName(1, member.client), member) for member in record.members)
    return RunRequest(name, "", program, {"large": large}, "evaluate", Pattern.P2, LONG, models)


@pytest.fixture(scope="module")
def large(predicting: System) -> RunRequest:
    job = with_large_data(predicting)
    ask(job, "evaluate", round=1, dataset="large", rows=10)  # wakes the predictor
    return request_of(predicting, job)


@pytest.fixture
def caller() -> Iterator[Predictors]:
    """Calls a predictor as a gateway does, with less patience for silence than the run takes."""
    calls = Calls(2.0, RealTime())
    yield Predictors(calls)
    calls.close()


def test_a_long_run_tells_its_progress_and_answers_as_a_short_one(
    predicting: System, large: RunRequest, caller: Predictors
) -> None:
    told: list[tuple[int, int]] = []
    partial, work = caller.run([predictor_of(predicting)], large, lambda done, total: told.append((done, total)))
    assert told
    assert told == sorted(told)
    assert {total for _, total in told} == {digits.CLIENTS}
    assert partial["values"].tolist() == [ROWS] * digits.CLIENTS
    assert work.compute_s > 0.5


def test_a_run_that_is_given_up_ends_in_the_predictor_too(
    predicting: System, large: RunRequest, caller: Predictors
) -> None:
    def give_up(done: int, total: int) -> None:
        raise OperationCancelled("no more")

    predictor = predictor_of(predicting)
    with pytest.raises(OperationCancelled, match="no more"):
        caller.run([predictor], large, give_up)
    log = predicting.shard_logs
    eventually(lambda: "a run was cancelled" in log(), 10.0)


def test_a_run_past_its_time_is_told_how_far_it_came(limited: JobOverHttp) -> None:
    told = problem(limited.run("evaluate", round=1, **LONG), 422, "run-too-long")
    assert "after 2 s with" in told["detail"]
    assert "of 7 steps" in told["detail"]


def test_a_run_that_holds_too_much_names_the_operator(limited: JobOverHttp) -> None:
    told = problem(limited.run("evaluate", round=1, dataset="large", batch_size=ROWS), 507, "run-too-large")
    assert "aten.linear" in told["detail"]
    fits = limited.run("evaluate", round=1, dataset="large", batch_size=500, rows=1000)
    assert fits.status_code == 200, fits.text
