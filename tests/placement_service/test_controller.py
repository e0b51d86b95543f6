import asyncio
import json
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest

from flstore_core import layout
from flstore_core.errors import InsufficientCapacity, NotFound, PreconditionFailed, StoreUnavailable, Unavailable
from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Table
from flstore_core.records import Job, to_bytes
from flstore_core.schema import Schema, TensorSpec
from flstore_core.storage import DirectoryStore
from services.common import tasks
from services.placement.board import Board
from services.placement.controller import Controller
from services.placement.fleet import Fleet
from services.placement.memory import Memory
from services.placement.metrics import Metrics
from services.placement.runtime import BackendSpec, Kind
from tests.fakes.runtime import FakeRuntime
from tests.fakes.time import FakeTime
from tests.waiting import soon

MIB = 1 << 20


@dataclass
class Site:
    """One controller and what it acts on."""

    controller: Controller
    board: Board
    metrics: Metrics
    runtime: FakeRuntime

    @property
    def table(self) -> Table:
        return self.board.table


def site(store: DirectoryStore, host: str = "host", shards: int = 3, cache_bytes: int = 64 * MIB) -> Site:
    specs = [BackendSpec(ShardId(f"shard-{index}"), cache_bytes, "lru", 0.0) for index in range(shards)]
    runtime, board, metrics = FakeRuntime(host), Board(), Metrics()
    return Site(Controller(Memory(store), Fleet(runtime, specs), board, metrics), board, metrics, runtime)


def create(store: DirectoryStore, name: str, parameters: int = 1000, slices: int | None = None) -> JobId:
    schema = Schema.of([TensorSpec("weight", "F32", (parameters,))])
    record = Job(JobId(name), schema, slices=slices)
    store.put(layout.job(record.id), to_bytes(record.to_json()))
    return record.id


def stored(store: DirectoryStore) -> Table:
    return Table.from_json(json.loads(store.get(layout.TABLE)))


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    return DirectoryStore(tmp_path / "store")


async def test_a_job_is_placed_by_its_record_and_the_table_is_stored(store: DirectoryStore) -> None:
    here = site(store)
    table = await here.controller.place(create(store, "digits", slices=3))
    assert {holders[0] for holders in table.jobs[JobId("digits")].owners} == {"shard-0", "shard-1", "shard-2"}
    assert table.shards[ShardId("shard-1")].url == "http://host/shard-1"
    assert stored(store) == here.table == table


async def test_placing_again_changes_no_version(store: DirectoryStore) -> None:
    here = site(store)
    first = await here.controller.place(create(store, "digits"))
    assert await here.controller.place(JobId("digits")) == first


async def test_a_job_without_a_record_is_not_found(store: DirectoryStore) -> None:
    with pytest.raises(NotFound, match="job 'absent' has no record"):
        await site(store).controller.place(JobId("absent"))


async def test_a_refused_job_is_in_no_table_and_hinders_no_other(store: DirectoryStore) -> None:
    here = site(store, cache_bytes=MIB)
    with pytest.raises(InsufficientCapacity):
        await here.controller.place(create(store, "large", 10 * MIB))
    table = await here.controller.place(create(store, "small"))
    assert set(table.jobs) == {"small"}


async def test_a_forgotten_job_leaves_the_table(store: DirectoryStore) -> None:
    here = site(store)
    version = (await here.controller.place(create(store, "digits"))).version
    await here.controller.forget(JobId("digits"))
    assert not here.table.jobs
    assert here.table.version == version + 1


async def test_a_restart_resumes_owners_and_version_with_new_addresses(store: DirectoryStore) -> None:
    create(store, "digits", slices=5)
    before = site(store, "before")
    await before.controller.resync()
    after = site(store, "after")
    await after.controller.resync()
    assert after.table.jobs == before.table.jobs
    assert after.table.version == before.table.version + 1
    assert after.table.shards[ShardId("shard-0")].url == "http://after/shard-0"


async def test_a_restart_at_the_same_addresses_keeps_the_version(store: DirectoryStore) -> None:
    create(store, "digits")
    await site(store).controller.resync()
    again = site(store)
    await again.controller.resync()
    assert again.table.version == 1
    assert set(again.table.jobs) == {"digits"}


async def test_the_store_s_jobs_are_taken_up_and_dropped(store: DirectoryStore) -> None:
    here = site(store)
    create(store, "first")
    create(store, "second")
    await here.controller.resync()
    assert set(here.table.jobs) == {"first", "second"}
    store.delete_prefix(layout.job_prefix(JobId("first")))
    await here.controller.resync()
    assert set(here.table.jobs) == {"second"}


async def test_fewer_shards_at_a_restart_move_only_what_the_lost_one_held(store: DirectoryStore) -> None:
    create(store, "digits", slices=9)
    await site(store, shards=3).controller.resync()
    before = stored(store).jobs[JobId("digits")].owners
    await site(store, shards=2).controller.resync()
    after = stored(store).jobs[JobId("digits")].owners
    assert all(new == old for old, new in zip(before, after, strict=True) if old != ("shard-2",))
    assert {holders[0] for holders in after} == {"shard-0", "shard-1"}


async def test_two_controllers_on_one_store_lose_nothing_to_each_other(store: DirectoryStore) -> None:
    left, right = site(store, "left"), site(store, "right")
    await asyncio.gather(left.controller.resync(), right.controller.resync())
    versions = []
    for number in range(4):
        here = (left, right)[number % 2]
        await here.controller.resync()
        versions.append((await here.controller.place(create(store, f"job-{number}"))).version)
    assert versions == sorted(set(versions))
    assert stored(store).version == versions[-1]
    assert set(stored(store).jobs) == {"job-0", "job-1", "job-2", "job-3"}
    conflicts = sum(
        s.metrics.registry.get_sample_value("flstore_placement_table_conflicts_total") or 0 for s in (left, right)
    )
    assert conflicts >= 2


async def test_controllers_that_place_at_the_same_moment_both_succeed(store: DirectoryStore) -> None:
    sites = [site(store, f"host-{index}") for index in range(3)]
    names = [create(store, f"job-{index}") for index in range(3)]
    tables = await asyncio.gather(*(s.controller.place(name) for s, name in zip(sites, names, strict=True)))
    assert len({table.version for table in tables}) == 3
    assert all(name in table.jobs for table, name in zip(tables, names, strict=True))


async def test_a_store_that_is_away_is_asked_again_until_it_is_back(tmp_path: Path) -> None:
    folder = tmp_path / "store"
    store = DirectoryStore(folder)
    away = folder.rename(tmp_path / "away")
    here = site(store)
    with pytest.raises(StoreUnavailable):
        await here.controller.resync()
    running = tasks.begin(here.controller.run(resync_s=1.0), "reconciler")
    errors = "flstore_placement_plan_errors_total", {"code": "store-unavailable"}
    await soon(lambda: (here.metrics.registry.get_sample_value(*errors) or 0) >= 2)
    assert not here.controller.ready
    away.rename(folder)
    await soon(lambda: here.controller.ready)
    assert here.table.version == 1
    await tasks.end(running)


async def test_a_spoiled_table_is_reported_and_not_overwritten(store: DirectoryStore) -> None:
    store.put(layout.TABLE, b"{]")
    with pytest.raises(StoreUnavailable, match="is not a placement table"):
        await site(store).controller.resync()
    assert store.get(layout.TABLE) == b"{]"


async def test_a_board_wakes_who_waits_for_a_newer_table() -> None:
    board = Board()
    waiting = [asyncio.create_task(board.wait_for_newer(0, 20.0)) for _ in range(3)]
    await asyncio.sleep(0)
    board.post(Table(1))
    assert await asyncio.gather(*waiting) == [Table(1)] * 3
    assert await board.wait_for_newer(0, 0.0) == Table(1)
    assert await board.wait_for_newer(1, 0.0) is None


async def test_a_closed_board_lets_everybody_go() -> None:
    board = Board()
    waiting = asyncio.create_task(board.wait_for_newer(0, 3600.0))
    await asyncio.sleep(0)
    board.close()
    assert await waiting is None
    assert await board.wait_for_newer(0, 3600.0) is None


class CountedTime(FakeTime):
    """Notes every pause that begins."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await super().sleep(seconds)

    def has_paused(self, times: int) -> bool:
        return len(self.pauses) >= times


async def test_after_failures_pauses_grow_up_to_the_time_between_two_looks(tmp_path: Path) -> None:
    folder, time = tmp_path / "store", CountedTime()
    store = DirectoryStore(folder)
    away = folder.rename(tmp_path / "away")
    fleet = Fleet(FakeRuntime(), [BackendSpec(ShardId("shard-0"), MIB, "lru", 0.0)])
    controller = Controller(Memory(store), fleet, Board(), Metrics(), time)
    running = tasks.begin(controller.run(resync_s=1.0), "reconciler")
    for count in range(1, 8):
        await soon(partial(time.has_paused, count))
        if count == 5:
            away.rename(folder)
        await time.advance(1.0)
    assert time.pauses[:7] == [0.2, 0.4, 0.8, 1.0, 1.0, 1.0, 1.0]
    assert controller.ready
    await tasks.end(running)


async def test_a_deletion_whose_gateway_died_is_finished_without_anybody_asking(store: DirectoryStore) -> None:
    name = create(store, "digits")
    left = layout.artifact(layout.home(name, ""), "left")
    store.put(left, b"model")
    marked = {**json.loads(store.get(layout.job(name))), "state": "deleting"}
    store.put(layout.job(name), to_bytes(marked))
    here = site(store)
    running = tasks.begin(here.controller.run(resync_s=60.0), "reconciler")
    await soon(lambda: json.loads(store.get(layout.job(name)))["state"] == "deleted")
    assert [info.key for info in store.list("jobs")] == [layout.job(name)]
    await tasks.end(running)


async def test_a_table_that_others_change_without_end_is_given_up_for_now(store: DirectoryStore) -> None:
    class Contested(Memory):
        def swap_table(self, table: Table, etag: str | None) -> str:
            raise PreconditionFailed("somebody was faster")

    fleet, metrics = Fleet(FakeRuntime(), [BackendSpec(ShardId("shard-0"), MIB, "lru", 0.0)]), Metrics()
    with pytest.raises(
        Unavailable, match="the placement table changed 10 times while it was being replaced; try again"
    ):
        await Controller(Contested(store), fleet, Board(), metrics).resync()
    assert metrics.registry.get_sample_value("flstore_placement_table_conflicts_total") == 10


async def test_an_elastic_fleet_has_predictors_only_while_a_job_has_a_program(store: DirectoryStore) -> None:
    specs = [
        BackendSpec(ShardId("shard-0"), 64 * MIB, "lru", 0.0),
        BackendSpec(ShardId("predictor-0"), MIB, "lru", 0.0, Kind.PREDICTOR),
    ]
    board = Board()
    controller = Controller(Memory(store), Fleet(FakeRuntime(), specs, elastic=True), board, Metrics())
    job = create(store, "digits")
    await controller.resync()
    assert (set(board.table.shards), set(board.table.predictors)) == ({"shard-0"}, set())
    store.put(layout.program_record(layout.home(job, "")), b"{}")
    await controller.resync()
    assert board.table.predictors == {"predictor-0": "http://host/predictor-0"}
    store.delete_prefix(layout.job_prefix(job))
    await controller.resync()
    assert (set(board.table.shards), set(board.table.predictors)) == (set(), set())


async def test_a_placed_job_that_no_longer_fits_is_refused_and_kept_for_when_it_does(store: DirectoryStore) -> None:
    here = site(store, cache_bytes=MIB)
    job = create(store, "digits")
    await here.controller.place(job)
    create(store, "digits", 10 * MIB)
    with pytest.raises(InsufficientCapacity):
        await here.controller.place(job)
    create(store, "digits")
    assert job in (await here.controller.place(job)).jobs
