"""A gateway's life: it reads the table first, follows news, keeps operations, and closes everything at the end."""

import asyncio
import logging

import pytest

from flstore_core.errors import FLStoreError, Unavailable
from flstore_core.ids import JobId
from flstore_core.storage import ObjectStore
from services.common.proof import Keys
from services.gateway import app
from services.gateway.app import create_app, finish, follow, keep
from services.gateway.settings import Settings
from services.gateway.state import create_state
from tests.fakes.store import MemoryStore
from tests.gateway.world import NAME, world

TASKS = {"placement-follower", "operations-keeper", "erasures-finisher"}


class Enough(Exception):
    """Ends a loop that never ends by itself."""


class Called:
    """Counts calls, raises the given errors in turn, and raises `Enough` in the last of so many calls."""

    def __init__(self, last: int | None, *errors: FLStoreError | None) -> None:
        self.calls = 0
        self._last = last
        self._errors = list(errors)

    def __call__(self) -> None:
        self.calls += 1
        if self.calls == self._last:
            raise Enough
        if self._errors and (error := self._errors.pop(0)):
            raise error


async def test_the_follower_goes_on_after_failures(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "RETRY_S", 0.0)
    gateway = world()
    placement = gateway.state.backends.placement
    wait = Called(3, None, Unavailable("away"))
    monkeypatch.setattr(placement, "wait_for_news", wait)
    with caplog.at_level(logging.WARNING), pytest.raises(Enough):
        await follow(placement)
    assert wait.calls == 3
    assert [record.message for record in caplog.records] == ["placement controller does not answer"]


async def test_operations_are_renewed_and_now_and_then_swept(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "RENEW_S", 0.0)
    gateway = world()
    operations = gateway.state.operations
    renew, sweep = Called(None, None, Unavailable("away")), Called(3)
    monkeypatch.setattr(operations, "renew", renew)
    monkeypatch.setattr(operations, "sweep", sweep)
    with caplog.at_level(logging.WARNING), pytest.raises(Enough):
        await keep(operations)
    assert renew.calls == 2 * app.SWEEP_EVERY + 1
    assert [record.message for record in caplog.records] == ["operations not renewed"]


async def test_erasures_that_broke_off_are_looked_for_again_and_again(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(app, "FINISH_EVERY_S", 0.0)
    eraser = world().state.eraser
    go_on = Called(3, None, Unavailable("away"))
    monkeypatch.setattr(eraser, "go_on", go_on)
    with caplog.at_level(logging.WARNING), pytest.raises(Enough):
        await finish(eraser)
    assert go_on.calls == 3
    assert [record.message for record in caplog.records] == ["erasures not looked at"]


async def test_a_gateway_has_its_table_before_the_first_request_and_closes_at_the_end() -> None:
    gateway = world()
    closed: list[str] = []
    gateway.state.rounds.store.close = lambda: closed.append("store")  # type: ignore[method-assign]
    application = create_app(gateway.state)
    async with application.router.lifespan_context(application):
        names = {task.get_name() for task in asyncio.all_tasks()}
        assert names >= TASKS
    assert closed == ["store"]
    assert not TASKS & {task.get_name() for task in asyncio.all_tasks()}


def test_the_real_parts_fit_together() -> None:
    store: ObjectStore = MemoryStore()
    state = create_state(Settings(threads=2, upload_limit=10, in_flight_bytes=20), store, Keys())
    assert create_app(state).state.gateway is state
    with pytest.raises(FLStoreError):
        state.rounds.catalog.read_job(JobId("nothing"))
    state.close()
    with pytest.raises(RuntimeError):
        state.pools.readers.submit(int)


def test_an_operation_s_progress_is_the_workload_s() -> None:
    gateway = world()
    gateway.create()
    gateway.fill(0, 1)
    gateway.commit(0)
    operation = gateway.state.operations.start(NAME, "metrics", {}, None, generation="g1")
    assert gateway.state.operations.find_or_take_over(operation.id).result["workload"] == "metrics"
