"""The application in this process: its endpoints over a runtime without processes, and its life from start to end."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from flstore_core.errors import InvalidParameters
from flstore_core.ids import JobId, ShardId
from flstore_core.storage import DirectoryStore
from services.common.proof import Keys
from services.placement import __main__ as entry
from services.placement.app import create_app, release_waiting
from services.placement.memory import Memory
from services.placement.runtime import BackendState, Cause, Phase, Start, Watcher
from services.placement.runtime.base import End
from services.placement.runtime.local.runtime import LocalRuntime
from services.placement.settings import Settings
from services.placement.state import State, create_state
from tests.fakes.runtime import FakeRuntime
from tests.fakes.time import FakeTime
from tests.kubernetes.world import job
from tests.waiting import soon

FIRST = Start(Cause.REQUEST, "", 0.4)
START = Start(Cause.REPLACEMENT, "SIGKILL", 0.52, 1764201600.5)


class TellingRuntime(FakeRuntime):
    """A runtime whose first shard is awake, and that keeps its watcher."""

    def __init__(self, watcher: Watcher) -> None:
        super().__init__()
        self.watcher = watcher
        self.closed = False

    async def observe(self) -> list[BackendState]:
        first, *others = await super().observe()
        awake = BackendState(
            first.id,
            Phase.AWAKE,
            first.url,
            pid=17,
            starts=2,
            recent_starts=(FIRST, START),
            awake_s=12.3456,
            kind=first.kind,
            direct_url="http://side",
        )
        return [awake, replace(others[0], last_end=End("SIGKILL", expected=False)), *others[1:]]

    async def close(self) -> None:
        self.closed = True


class Running:
    """An application under way."""

    def __init__(self, state: State, client: httpx.AsyncClient, runtime: TellingRuntime) -> None:
        self.state = state
        self.client = client
        self.runtime = runtime


@asynccontextmanager
async def running(folder: Path) -> AsyncIterator[Running]:
    store = DirectoryStore(folder)
    outward = httpx.AsyncClient(transport=httpx.MockTransport(lambda _: httpx.Response(204)))
    states: list[State] = []

    def make_state() -> State:
        state = create_state(Settings(), store, TellingRuntime, time=FakeTime(), client=outward)
        states.append(state)
        return state

    app = create_app(make_state, Keys())
    async with app.router.lifespan_context(app):
        runtime = states[0].runtime
        assert isinstance(runtime, TellingRuntime)
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://me") as client:
            await soon(lambda: states[0].controller.ready)
            yield Running(states[0], client, runtime)
            release_waiting(app)
    assert runtime.closed
    assert outward.is_closed


async def test_a_job_is_placed_and_forgotten_over_http(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        Memory(here.state.store).create_job(job("digits"))
        placed = await here.client.post("/v1/placement/jobs/digits")
        assert placed.json() == (await here.client.get("/v1/placement")).json()
        assert (await here.client.delete("/v1/placement/jobs/digits")).status_code == 204
        later = await here.client.get(f"/v1/placement?after={placed.json()['version']}")
        assert later.json()["jobs"] == {}
        missing = await here.client.post("/v1/placement/jobs/absent")
        assert (missing.status_code, missing.json()["code"]) == (404, "not-found")


async def test_shards_are_shown_with_the_last_start_and_its_reason(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        first, second = (await here.client.get("/v1/shards")).json()
    assert first == {
        "shard": "shard-0",
        "state": "awake",
        "url": "http://host/shard-0",
        "pid": 17,
        "starts": 2,
        "last_start": {"cause": "replacement", "reason": "SIGKILL", "seconds": 0.52, "at": 1764201600.5},
        "last_start_s": 0.52,
        "recent_starts": [
            {"cause": "request", "reason": "", "seconds": 0.4, "at": None},
            {"cause": "replacement", "reason": "SIGKILL", "seconds": 0.52, "at": 1764201600.5},
        ],
        "last_end": None,
        "failures": 0,
        "awake_s": 12.346,
        "direct_url": "http://side",
        "trouble": None,
    }
    assert (second["last_start"], second["last_start_s"], second["recent_starts"]) == (None, None, [])
    assert second["last_end"] == {"reason": "SIGKILL", "expected": False}


async def test_health_needs_nothing_and_metrics_show_the_states(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        assert (await here.client.get("/healthz")).json() == {"status": "ok"}
        assert (await here.client.get("/readyz")).json() == {"status": "ok"}
        metrics = await here.client.get("/metrics")
        assert metrics.headers["content-type"].startswith("text/plain")
        assert 'flstore_placement_shards{state="awake"} 1.0' in metrics.text


async def test_what_the_runtime_tells_is_counted_and_passed_on(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        here.runtime.watcher.started(ShardId("shard-0"), START)
        here.runtime.watcher.changed(BackendState(ShardId("shard-0"), Phase.AWAKE, "http://shard-0"))
        text = (await here.client.get("/metrics")).text
        assert 'flstore_placement_shard_starts_total{cause="replacement"} 1.0' in text


async def test_without_a_store_the_controller_is_alive_but_not_ready(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = DirectoryStore(folder)
    folder.rename(tmp_path / "away")
    state = create_state(Settings(), store, TellingRuntime, time=FakeTime())
    app = create_app(lambda: state, Keys())
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://me") as client,
    ):
        assert (await client.get("/healthz")).status_code == 200
        refused = await client.get("/readyz")
        assert (refused.status_code, refused.json()["code"]) == (503, "unavailable")
        assert "no placement table has been published yet" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("after=soon", "after is 'soon'; use a number from 0 to 9.0072e+15"),
        ("after=-1", "after is '-1'"),
        ("wait=61", "wait is '61'; use a number from 0 to 60"),
        ("wait=nan", "wait is 'nan'"),
    ],
)
async def test_a_long_poll_without_sense_is_refused(tmp_path: Path, query: str, message: str) -> None:
    async with running(tmp_path) as here:
        refused = await here.client.get(f"/v1/placement?{query}")
    assert refused.status_code == 422
    assert message in refused.json()["detail"]


async def test_leaving_answers_every_long_poll(tmp_path: Path) -> None:
    async with running(tmp_path) as here:
        version = here.state.board.table.version
        polls = [asyncio.create_task(here.client.get(f"/v1/placement?after={version}&wait=60")) for _ in range(3)]
        await asyncio.sleep(0)
        here.state.board.close()
        assert [(await poll).status_code for poll in polls] == [304] * 3


async def test_a_laptop_s_controller_runs_processes_on_the_store_it_was_given(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    settings = Settings(store=str(tmp_path), shards=1)
    env = {"FLSTORE_STORE": "overridden", "MINE": "kept", "FLSTORE_GRACE_SECONDS": "30"}
    state = entry.prepare_local(settings, Keys(), store, env)()
    assert isinstance(state.runtime, LocalRuntime)
    assert state.runtime.program.env == {**env, "FLSTORE_STORE": str(tmp_path)}
    assert state.runtime.program.grace_s == 31.0, "a backend is killed once its own grace is over, not before"
    await state.controller.resync()
    assert [each.id for each in await state.runtime.observe()] == ["shard-0"]
    await state.close()


@pytest.mark.parametrize(
    ("env", "advice"),
    [
        ({}, "FLSTORE_NAMESPACE and FLSTORE_SHARD_IMAGE must be set"),
        ({"FLSTORE_SHARD_MEMORY": "256Mi"}, "over 60 % of FLSTORE_SHARD_MEMORY"),
        ({}, "there is no cluster"),
    ],
)
def test_a_cluster_s_controller_says_what_is_missing(tmp_path: Path, env: dict[str, str], advice: str) -> None:
    needed = {} if "NAMESPACE" in advice else {"FLSTORE_NAMESPACE": "fl", "FLSTORE_SHARD_IMAGE": "flstore:1"}
    with pytest.raises(InvalidParameters, match=advice):
        entry.prepare_cluster(Settings(), Keys(), DirectoryStore(tmp_path), {**needed, **env})


def test_a_laptop_needs_no_kubernetes_client() -> None:
    """Neither the client nor what comes with it is imported before somebody asks for a cluster."""
    code = (
        "import sys; sys.modules |= dict.fromkeys(('kubernetes', 'aiohttp'));"  # importing either fails from here on
        "import services.placement.__main__, services.placement.runtime.local.runtime"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


async def test_forgetting_a_job_before_the_first_plan_forgets_no_other(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    for name in ("one", "two"):
        Memory(store).create_job(job(name))
    state = create_state(Settings(), store, lambda _: FakeRuntime(), time=FakeTime())
    Memory(store).delete_job(JobId("one"))
    await state.controller.forget(JobId("one"))
    assert state.board.table.jobs.keys() == {"two"}
    await state.close()
