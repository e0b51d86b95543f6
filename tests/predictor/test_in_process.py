"""A predictor in process: its own endpoints, runs that are short or long, and the Open Inference Protocol."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from flstore_core import codec, layout
from flstore_core.errors import InvalidParameters, NotEnoughData, NotFound, StoreUnavailable
from flstore_core.generations import Generations
from flstore_core.ids import ClientId, JobId, ShardId
from flstore_core.model_names import ModelName
from flstore_core.models.protocol import PROBLEM, PROGRESS, RUN, STREAM_TYPE, WORK, RunRequest
from flstore_core.models.running import Running
from flstore_core.records import Job, to_bytes
from flstore_core.shard.protocol import ASSIGNMENT, CLIENT, EXPLAIN, INVENTORY, WORK_HEADER, Answer, Work
from flstore_core.shard.protocol import JOB as JOB_PATH
from services.predictor import following
from services.predictor.settings import Settings
from services.predictor.state import create_state
from services.predictor.versions import Versions
from tests.fakes.store import Call
from tests.models.small import HOME, JOB, SCHEMA, commit, output_of
from tests.predictor.predictors import ROWS, Predictor


@pytest.fixture
async def predictor() -> AsyncIterator[Predictor]:
    predictor = Predictor()
    yield predictor
    await predictor.http.aclose()


A, B = ModelName(1, ClientId("a")), ModelName(1, ClientId("b"))


async def test_a_short_run_is_answered_at_once(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "PROGRESS_EVERY_S", 60.0)  # short, however slow this machine is
    answer = await predictor.http.post(RUN, json=predictor.request(A, B))
    assert answer.status_code == 200, answer.text
    arrays, _ = codec.loads(answer.content)
    assert len(arrays["values"]) == 2
    assert Work.from_header(answer.headers[WORK_HEADER]).misses == 4


async def test_a_run_of_a_job_that_is_gone_is_a_problem(predictor: Predictor) -> None:
    answer = await predictor.http.post(RUN, json=predictor.request(A, digest="0" * 64))
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid-parameters")


async def test_a_message_that_is_no_json_is_refused(predictor: Predictor) -> None:
    answer = await predictor.http.post(RUN, content=b"{half")
    assert (answer.status_code, answer.json()["detail"]) == (422, "the message is not JSON")


class Held:
    """Stands in for `Engine.run`: goes on when the test says so."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, predictor: Predictor) -> None:
        self.go = threading.Event()
        self.began = threading.Event()
        self.error: Exception | None = None
        self.running: Running | None = None
        monkeypatch.setattr(following, "PROGRESS_EVERY_S", 0.01)
        engine: Any = predictor.state.engine
        monkeypatch.setattr(engine, "run", self.run)

    def run(self, message: RunRequest, running: Running) -> Answer:
        self.running = running
        running.progress = (3, 10)
        self.began.set()
        assert self.go.wait(20.0)
        if self.error:
            raise self.error
        return Answer([memoryview(b"the "), memoryview(b"partial")], Work(hits=2))


async def long_answer(predictor: Predictor, held: Held) -> bytes:
    """Ask for a run, let it go on once it counts as long, and return the whole answer."""
    asked = asyncio.create_task(predictor.http.post(RUN, json=predictor.request(A)))
    while not held.began.is_set():
        await asyncio.sleep(0.005)
    await asyncio.sleep(0.05)
    held.go.set()
    answer = await asked
    assert answer.headers["content-type"] == STREAM_TYPE
    return answer.content


async def test_a_long_run_tells_its_progress_and_then_its_work_and_body(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch
) -> None:
    *lines, body = (await long_answer(predictor, Held(monkeypatch, predictor))).split(b"\n")
    *progress, last = (json.loads(line) for line in lines)
    assert all(line.keys() == {PROGRESS} for line in progress)
    assert progress[-1] == {PROGRESS: [3, 10]}  # earlier ones may have been sent before the thread began
    assert last == {WORK: Work(hits=2).to_json()}
    assert body == b"the partial"


@pytest.mark.parametrize(
    ("error", "code", "detail"),
    [
        (NotEnoughData("too few"), "not-enough-data", "too few"),
        (
            ZeroDivisionError("secret"),
            "internal",
            "an unexpected error happened; the predictor's log has it under this request_id",
        ),
    ],
)
async def test_a_long_run_that_fails_ends_with_its_problem(
    predictor: Predictor, monkeypatch: pytest.MonkeyPatch, error: Exception, code: str, detail: str
) -> None:
    held = Held(monkeypatch, predictor)
    held.error = error
    last = (await long_answer(predictor, held)).splitlines()[-1]
    problem = json.loads(last)[PROBLEM]
    assert (problem["code"], problem["detail"]) == (code, detail)


async def test_a_caller_that_hangs_up_ends_the_run(predictor: Predictor, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held(monkeypatch, predictor)
    request: Any = None
    message = RunRequest.from_json(predictor.request(A))
    response: Any = await following.follow(request, predictor.state, message)
    while json.loads(await anext(response.body_iterator)) != {PROGRESS: [3, 10]}:
        pass  # the run has not come to its first step yet
    await response.body_iterator.aclose()
    assert held.running is not None
    with pytest.raises(Exception, match="nobody is waiting"):
        held.running.check()
    held.go.set()


@pytest.mark.parametrize(
    ("version", "seed", "said"), [("", 10, "1"), ("1", 10, "1"), ("1:a", 11, "1:a"), ("1:b", 12, "1:b")]
)
async def test_a_version_infers_what_pytorch_gives(predictor: Predictor, version: str, seed: int, said: str) -> None:
    answer = await predictor.infer(version)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["model_name"], body["model_version"]) == (JOB, said)
    (output,) = body["outputs"]
    assert np.reshape(output["data"], output["shape"]) == pytest.approx(output_of(seed, ROWS), rel=1e-4, abs=1e-5)


@pytest.mark.parametrize(
    ("version", "job", "status"), [("9", JOB, 404), ("1:nobody", JOB, 404), ("newest", JOB, 422), ("", "nobody", 404)]
)
async def test_what_cannot_infer_is_told(predictor: Predictor, version: str, job: str, status: int) -> None:
    answer = await predictor.infer(version, job=job)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")


async def test_models_are_described_with_their_inputs(predictor: Predictor) -> None:
    described = (await predictor.http.get(f"/v2/models/{JOB}")).json()
    assert [(each["datatype"], each["shape"]) for each in described["inputs"]] == [("FP32", [-1, 4])]
    assert (await predictor.http.get(f"/v2/models/{JOB}/versions/1:a")).json()["versions"] == ["1:a"]
    assert (await predictor.http.get("/v2/models")).json()["models"] == [JOB]


@pytest.mark.parametrize(
    "path", ["", f"/{JOB}", f"/{JOB}/versions/1:a", f"/{JOB}/ready", f"/{JOB}/versions/1:a/ready", "/nobody"]
)
async def test_nothing_that_reads_the_store_holds_up_the_event_loop(predictor: Predictor, path: str) -> None:
    threads: set[int] = set()
    predictor.store.before = lambda _: threads.add(threading.get_ident())
    assert (await predictor.http.get("/v2/models" + path)).status_code == (404 if path == "/nobody" else 200)
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize(("path", "status"), [("", 200), ("/versions/1:b", 200), ("/versions/9", 404)])
async def test_readiness_and_description_are_those_of_the_version(predictor: Predictor, path: str, status: int) -> None:
    assert (await predictor.http.get(f"/v2/models/{JOB}{path}/ready")).status_code == status
    assert (await predictor.http.get(f"/v2/models/{JOB}{path}")).status_code == status


async def test_what_is_held_is_told_and_forgotten(predictor: Predictor) -> None:
    await predictor.infer("1:a")
    await predictor.infer("1")
    predictor.clock.now += 3.0
    inventory = (await predictor.http.get(INVENTORY)).json()
    assert (inventory["shard"], inventory["awake_s"], inventory["objects"]) == ("predictor-3", 3.0, 3)
    assert (await predictor.http.get(EXPLAIN, params={"key": f"{JOB}/1/a/7"})).json()["cached"] is True
    assert (await predictor.http.delete(CLIENT.format(job=JOB, client="a"))).json() == {"dropped": 1}
    assert (await predictor.http.get(EXPLAIN, params={"key": f"{JOB}/1/a"})).json()["cached"] is False
    assert (await predictor.http.delete(JOB_PATH.format(job=JOB))).json() == {"dropped": 2}


async def test_an_assignment_takes_nothing_from_a_predictor(predictor: Predictor) -> None:
    await predictor.infer("1")
    assert (await predictor.http.post(ASSIGNMENT, json={"version": 1, "owned": {}})).json() == {"dropped": 0}
    assert (await predictor.http.get(INVENTORY)).json()["objects"] == 2


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
async def test_it_is_alive(predictor: Predictor, path: str) -> None:
    assert (await predictor.http.get(path)).json() == {"status": "ok"}


async def test_metrics_are_kserves_and_the_caches(predictor: Predictor) -> None:
    await predictor.infer("1")
    text = (await predictor.http.get("/metrics")).text
    assert 'flstore_cache_objects{shard="predictor-3"} 2.0' in text
    assert "request_predict_seconds" in text


async def test_it_leaves_after_its_idle_window(predictor: Predictor) -> None:
    settings = Settings(ShardId("p"), cache_bytes=10**6, idle_seconds=30.0)
    state = create_state(settings, predictor.store, predictor.clock)
    predictor.clock.now += 30.0
    assert state.should_leave()
    await state.compute(lambda: None)
    assert not state.should_leave()


async def test_a_life_opens_the_store_early_and_closes_it(predictor: Predictor) -> None:
    calls: list[str] = []
    predictor.store.before = lambda call: calls.append(call.method)
    async with predictor.app.router.lifespan_context(predictor.app):
        while "probe" not in calls:
            await asyncio.sleep(0.005)


class TestVersions:
    """Which model a version means, and how long that is believed."""

    def versions(self, predictor: Predictor) -> Versions:
        return predictor.state.versions

    def test_the_newest_aggregate_is_looked_for_again_after_a_while(self) -> None:
        predictor = Predictor()
        versions = self.versions(predictor)
        assert versions.infer(JOB, "", {"x": ROWS})[0] == "1"
        commit(predictor.store, 4, {}, 44)
        assert versions.infer(JOB, "", {"x": ROWS})[0] == "1", "two seconds are not over"
        predictor.clock.now += 2.1
        name, outputs = versions.infer(JOB, "", {"x": ROWS})
        assert name == "4"
        np.testing.assert_allclose(outputs[0], output_of(44, ROWS), rtol=1e-4, atol=1e-5)

    def test_a_job_made_anew_is_noticed_though_nobody_told_of_the_deletion(self) -> None:
        predictor = Predictor()
        versions = self.versions(predictor)
        assert versions.infer(JOB, "", {"x": ROWS})[0] == "1"
        for info in list(predictor.store.list(layout.rounds_prefix(HOME))):
            predictor.store.delete(info.key)
        new = Job(JOB, SCHEMA, created_at=7.0)
        predictor.store.put(layout.job(JOB), to_bytes(new.to_json()))
        commit(predictor.store, 0, {}, 44)
        predictor.clock.now += 2.1
        name, outputs = versions.infer(JOB, "", {"x": ROWS})
        assert name == "0"
        np.testing.assert_allclose(outputs[0], output_of(44, ROWS), rtol=1e-4, atol=1e-5)
        assert predictor.state.engine.library.jobs.get(JOB).created_at == 7.0

    def test_only_newer_rounds_are_looked_at_again(self) -> None:
        predictor = Predictor()
        versions = self.versions(predictor)
        versions.infer(JOB, "", {"x": ROWS})
        keys: list[str] = []
        predictor.store.before = lambda call: keys.append(call.key)
        predictor.clock.now += 2.1
        versions.infer(JOB, "", {"x": ROWS})
        assert layout.round_record(HOME, 1) not in keys

    def test_rounds_without_an_aggregate_and_open_ones_are_passed_over(self) -> None:
        predictor = Predictor()
        commit(predictor.store, 2, {"c": 3}, None)
        predictor.store.put(layout.opening(HOME, 3), b"{}")
        assert self.versions(predictor).infer(JOB, "", {"x": ROWS})[0] == "1"

    def test_without_any_aggregate_a_version_must_be_named(self) -> None:
        predictor = Predictor()
        predictor.store.delete(layout.round_record(HOME, 1))
        with pytest.raises(NotEnoughData, match="no committed round with an aggregate; name a version"):
            self.versions(predictor).infer(JOB, "", {"x": ROWS})

    def test_a_job_without_a_program_is_not_found_and_not_listed(self) -> None:
        predictor = Predictor()
        Generations(predictor.store).begin(Job(JobId("other"), SCHEMA))
        assert self.versions(predictor).jobs() == [JOB]
        predictor.store.delete(layout.program_record(HOME))
        predictor.clock.now += 2.1
        assert self.versions(predictor).jobs() == []
        with pytest.raises(NotFound, match="has no program; PUT /v1/jobs/small/model uploads one"):
            self.versions(predictor).check(JOB, "1")

    def test_a_forgotten_job_is_read_anew(self) -> None:
        predictor = Predictor()
        versions = self.versions(predictor)
        versions.check(JOB, "")
        predictor.store.delete(layout.program_record(HOME))
        versions.check(JOB, "")
        versions.forget(JOB)
        with pytest.raises(NotFound):
            versions.check(JOB, "")

    @pytest.mark.parametrize("names", [["images"], ["anything"]])
    def test_inputs_may_go_by_the_programs_names_or_by_order(self, names: list[str]) -> None:
        predictor = Predictor()
        _, outputs = self.versions(predictor).infer(JOB, "1:a", dict(zip(names, [ROWS], strict=True)))
        np.testing.assert_allclose(outputs[0], output_of(11, ROWS), rtol=1e-4, atol=1e-5)

    def test_an_unusable_version_is_refused(self) -> None:
        with pytest.raises(InvalidParameters, match="'newest' is not usable"):
            self.versions(Predictor()).infer(JOB, "newest", {"x": ROWS})

    def test_a_store_that_is_away_is_told(self) -> None:
        predictor = Predictor()

        def away(call: Call) -> None:
            raise StoreUnavailable("away")

        predictor.store.before = away
        with pytest.raises(StoreUnavailable):
            self.versions(predictor).infer(JOB, "", {"x": ROWS})


def test_every_variable_sets_its_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    env = {
        "FLSTORE_SHARD_ID": "predictor-1",
        "FLSTORE_STORE": "s3://bucket",
        "FLSTORE_CACHE_BYTES": "1GiB",
        "FLSTORE_POLICY": "lru",
        "FLSTORE_IDLE_SECONDS": "5",
        "FLSTORE_REFRESH_SECONDS": "0.5",
        "FLSTORE_COMPUTE_THREADS": "3",
        "FLSTORE_DEVICE": "cuda",
        "FLSTORE_TORCH_THREADS": "1",
        "FLSTORE_RUN_SECONDS": "7",
        "FLSTORE_RUN_BYTES": "1MiB",
        "FLSTORE_MEMORY_BYTES": "0",
        "FLSTORE_MODEL_FOLDER": "/mnt/models",
        "FLSTORE_MODEL_NAME": "digits",
    }
    kserve = ("/mnt/models", "digits")
    computing = (3, "cuda", 1, 7.0, 2**20, 0)
    expected = Settings(ShardId("predictor-1"), "s3://bucket", 2**30, "lru", 5.0, 0.5, *computing, *kserve)
    assert Settings.from_env(env) == expected
    assert Settings.from_env({}) == Settings()
    with pytest.raises(InvalidParameters, match="no device 'tpu'; use cpu or cuda"):
        Settings.from_env({"FLSTORE_DEVICE": "tpu"})
    assert Settings.from_env({"K_SERVICE": "p-9"}).predictor == "p-9"
