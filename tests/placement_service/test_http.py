"""The controller as a process, with tiny shards in place of real ones where what they are told matters."""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from flstore_core import layout
from flstore_core.ids import JobId
from flstore_core.records import Job, to_bytes
from flstore_core.schema import Schema, TensorSpec
from flstore_core.storage import DirectoryStore
from services.common.proof import VARIABLE, Keys, new_key
from services.local.supervisor import Part, Supervisor
from services.placement.runtime import Runtime, Watcher
from services.placement.runtime.local.process import Program
from services.placement.runtime.local.runtime import LocalRuntime
from services.placement.settings import Settings
from services.placement.signing import Signed
from services.placement.state import State, create_state
from tests.waiting import eventually

ROOT = str(Path(__file__).parents[2])
MIB = 1 << 20
KEY = new_key()


def create(store: DirectoryStore, name: str, parameters: int = 1000) -> JobId:
    record = Job(JobId(name), Schema.of([TensorSpec("weight", "F32", (parameters,))]))
    store.put(layout.job(record.id), to_bytes(record.to_json()))
    return record.id


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> DirectoryStore:
    return DirectoryStore(tmp_path_factory.mktemp("placement") / "store")


@pytest.fixture(scope="module")
def placement(store: DirectoryStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A controller of two shards of 1 MiB."""
    folder = repr(store).removeprefix("DirectoryStore('").removesuffix("')")
    env = {
        **os.environ,
        "FLSTORE_STORE": folder,
        "FLSTORE_SHARDS": "2",
        "FLSTORE_PREDICTORS": "0",
        "FLSTORE_CACHE_BYTES": "1MiB",
        VARIABLE: KEY,
    }
    log = tmp_path_factory.mktemp("log") / "log"
    with socket.create_server(("127.0.0.1", 0)) as listening, log.open("wb") as file:
        supervisor = Supervisor([Part("placement", "services.placement", listening, env)], file)
        try:
            supervisor.start(20.0)
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            with httpx.Client(base_url=url, auth=Signed(Keys.parse(KEY)), timeout=20.0) as client:
                eventually(lambda: client.get("/readyz").is_success)
                yield client
        finally:
            supervisor.stop()


def test_a_placed_job_is_in_the_table(placement: httpx.Client, store: DirectoryStore) -> None:
    answer = placement.post(f"/v1/placement/jobs/{create(store, 'digits')}")
    assert answer.status_code == 200
    assert answer.json() == placement.get("/v1/placement").json()
    assert answer.json()["jobs"]["digits"]["slices"] == 1
    assert set(answer.json()["shards"]) == {"shard-0", "shard-1"}


def test_a_long_poll_is_answered_by_the_next_change(placement: httpx.Client, store: DirectoryStore) -> None:
    version = placement.get("/v1/placement").json()["version"]
    with ThreadPoolExecutor(1) as pool:
        polled = pool.submit(placement.get, f"/v1/placement?after={version}&wait=20")
        placement.post(f"/v1/placement/jobs/{create(store, 'polled')}")
        assert polled.result(20.0).json()["version"] == version + 1
    assert placement.delete("/v1/placement/jobs/polled").status_code == 204
    assert "polled" not in placement.get("/v1/placement").json()["jobs"]


def test_a_long_poll_without_news_ends_with_304(placement: httpx.Client) -> None:
    version = placement.get("/v1/placement").json()["version"]
    answer = placement.get(f"/v1/placement?after={version}&wait=0.05")
    assert (answer.status_code, answer.content) == (304, b"")


def test_a_job_too_large_for_any_shard_is_a_507_with_the_numbers(
    placement: httpx.Client, store: DirectoryStore
) -> None:
    problem = placement.post(f"/v1/placement/jobs/{create(store, 'large', 4 * MIB)}")
    assert problem.status_code == 507
    assert problem.headers["content-type"] == "application/problem+json"
    assert problem.json()["code"] == "insufficient-capacity"
    assert problem.json()["slice_bytes"] == 8 * MIB
    assert problem.json()["largest_shard_bytes"] == MIB


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("POST", "/v1/placement/jobs/absent", 404, "not-found"),
        ("POST", "/v1/placement/jobs/.hidden", 422, "invalid-id"),
        ("GET", "/v1/placement?after=soon", 422, "invalid-parameters"),
        ("GET", "/v1/placement?after=1&wait=nan", 422, "invalid-parameters"),
        ("GET", "/v1/placement?after=1&wait=3600", 422, "invalid-parameters"),
        ("GET", "/v1/nothing", 404, "not-found"),
        ("PUT", "/v1/placement", 405, "method-not-allowed"),
    ],
)
def test_what_is_wrong_is_said_as_a_problem(
    placement: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    problem = placement.request(method, path, headers={"X-Request-Id": "mine"})
    assert (problem.status_code, problem.json()["code"]) == (status, code)
    assert problem.json()["request_id"] == problem.headers["X-Request-Id"] == "mine"


def test_shards_are_listed_and_counted_without_waking_one(placement: httpx.Client) -> None:
    assert [(shard["shard"], shard["state"]) for shard in placement.get("/v1/shards").json()] == [
        ("shard-0", "zero"),
        ("shard-1", "zero"),
    ]
    metrics = placement.get("/metrics").text
    assert 'flstore_placement_shards{state="zero"} 2.0' in metrics
    assert 'flstore_placement_shard_starts_total{cause="request"} 0.0' in metrics


def test_a_real_shard_is_woken_by_a_request_and_counted(placement: httpx.Client) -> None:
    url = placement.get("/v1/placement").json()["shards"]["shard-0"]["url"]
    inventory = httpx.get(f"{url}/v1/inventory", auth=Signed(Keys.parse(KEY)), timeout=20.0).json()
    assert inventory["shard"] == "shard-0"
    eventually(lambda: placement.get("/v1/shards").json()[0]["state"] == "awake")
    metrics = placement.get("/metrics").text
    assert 'flstore_placement_shards{state="awake"} 1.0' in metrics
    assert 'flstore_placement_shard_starts_total{cause="request"} 1.0' in metrics
    assert "flstore_placement_shard_start_seconds_count 1.0" in metrics


@pytest.fixture
async def state(tmp_path: Path) -> AsyncIterator[State]:
    def runtime(watcher: Watcher) -> Runtime:
        env = {**os.environ, "PYTHONPATH": ROOT}
        return LocalRuntime(watcher, Program(env, shard="tests.fakes.tiny_shard", grace_s=1.0))

    settings = Settings(idle_s=0.0, shards=2)
    state = create_state(settings, DirectoryStore(tmp_path / "store"), runtime)
    await state.controller.resync()
    yield state
    await state.close()


async def test_an_awake_shard_is_told_of_every_table_and_none_at_zero_is_woken(state: State) -> None:
    store = state.store
    assert isinstance(store, DirectoryStore)
    url = state.board.table.shards[next(iter(state.board.table.shards))].url
    assignment: dict[str, object] = {}

    async def assigned_version() -> object:
        assignment.clear()
        assignment.update((await state.client.get(url, timeout=20.0)).json()["assignment"] or {})
        return assignment.get("version")

    async def is_told_of(version: int) -> None:
        async with asyncio.timeout(20.0):
            while await assigned_version() != version:
                await asyncio.sleep(0.01)

    await is_told_of(1)
    for number in range(4):
        await state.controller.place(create(store, f"job-{number}"))
    await is_told_of(5)
    table = state.board.table
    owned = {job: [0] for job, placed in table.jobs.items() if placed.owners == (("shard-0",),)}
    assert json.loads(json.dumps(assignment)) == {"version": 5, "owned": owned}
    assert [s.starts for s in await state.runtime.observe()] == [1, 0]
