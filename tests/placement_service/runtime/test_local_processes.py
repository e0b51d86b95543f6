"""Backends as real processes: socket activation, idle exit, crashes and kills."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import httpx
import pytest

from flstore_core.ids import ShardId
from services.placement.runtime import BackendSpec, BackendState, Cause, Phase, Start
from services.placement.runtime.local.process import Program
from services.placement.runtime.local.runtime import LocalRuntime
from tests.waiting import alive, soon

ROOT = str(Path(__file__).parents[3])
SHARD = ShardId("shard-0")


class Witness:
    """Remembers what a runtime tells."""

    def __init__(self) -> None:
        self.phases: list[Phase] = []
        self.starts: list[Start] = []

    def changed(self, state: BackendState) -> None:
        self.phases.append(state.phase)

    def started(self, backend: ShardId, start: Start) -> None:
        self.starts.append(start)


class Tiny:
    """A local runtime of tiny shards, its witness, and a client."""

    def __init__(self, folder: Path, client: httpx.AsyncClient, **env: str) -> None:
        self.log = folder / "starts"
        self.broken = folder / "broken"
        files = {"TINY_LOG": str(self.log), "TINY_BROKEN": str(self.broken)}
        self.witness = Witness()
        whole = {**os.environ, "PYTHONPATH": ROOT, **files, **env}
        self.runtime = LocalRuntime(self.witness, Program(whole, shard="tests.fakes.tiny_shard", grace_s=1.0))
        self.client = client
        self.url = ""

    async def begin(self, idle_s: float = 0.0) -> None:
        self.url = await self.runtime.ensure(BackendSpec(SHARD, 1 << 20, "lru", idle_s))

    async def ask(self) -> dict[str, Any]:
        answer = await self.client.get(self.url, timeout=20.0)
        found: dict[str, Any] = answer.json()
        return found

    async def state(self) -> BackendState:
        return (await self.runtime.observe())[0]

    async def reaches(self, phase: Phase) -> None:
        await soon(lambda: self.witness.phases[-1:] == [phase])

    def start_times(self) -> list[float]:
        return [float(line) for line in self.log.read_text().splitlines()] if self.log.exists() else []


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    limits = httpx.Limits(max_keepalive_connections=0)
    async with httpx.AsyncClient(limits=limits) as client:
        yield client


@pytest.fixture
async def tiny(tmp_path: Path, client: httpx.AsyncClient) -> AsyncIterator[Tiny]:
    tiny = Tiny(tmp_path, client)
    yield tiny
    await tiny.runtime.close()


async def test_a_shard_is_at_zero_until_somebody_connects(tiny: Tiny) -> None:
    await tiny.begin()
    state = await tiny.state()
    assert (state.phase, state.pid, state.starts) == (Phase.ZERO, None, 0)
    assert not tiny.start_times()


async def test_a_request_to_a_shard_at_zero_waits_and_is_answered(tiny: Tiny) -> None:
    await tiny.begin()
    answer = await tiny.ask()
    assert answer["shard"] == SHARD
    assert answer["threads"] == "1"
    await tiny.reaches(Phase.AWAKE)
    state = await tiny.state()
    assert (state.pid, state.starts) == (answer["pid"], 1)
    assert tiny.witness.starts == [state.last_start]
    assert (tiny.witness.starts[0].cause, tiny.witness.starts[0].reason) == (Cause.REQUEST, "")
    assert tiny.witness.phases == [Phase.STARTING, Phase.AWAKE]


async def test_first_requests_at_once_start_one_process(tiny: Tiny) -> None:
    await tiny.begin()
    answers = await asyncio.gather(*(tiny.ask() for _ in range(20)))
    assert len({answer["pid"] for answer in answers}) == 1
    assert len(tiny.start_times()) == 1


async def test_an_idle_shard_goes_to_zero_and_comes_back_under_its_address(tiny: Tiny) -> None:
    await tiny.begin(idle_s=0.3)
    first = await tiny.ask()
    await tiny.reaches(Phase.ZERO)
    assert not alive(first["pid"])
    second = await tiny.ask()
    assert second["pid"] != first["pid"]
    await tiny.reaches(Phase.AWAKE)
    causes = [(start.cause, start.reason) for start in tiny.witness.starts]
    assert causes == [(Cause.REQUEST, ""), (Cause.REQUEST, "idle")]


async def test_no_request_is_lost_while_a_shard_comes_and_goes(tiny: Tiny) -> None:
    await tiny.begin(idle_s=0.05)
    for pause in (0.10, 0.14, 0.18):
        assert (await tiny.ask())["shard"] == SHARD
        await asyncio.sleep(pause)  # falls on every stage of leaving


async def test_a_killed_shard_is_replaced_by_the_next_request(tiny: Tiny) -> None:
    await tiny.begin()
    first = await tiny.ask()
    await tiny.reaches(Phase.AWAKE)
    os.kill(first["pid"], signal.SIGKILL)
    second = await tiny.ask()
    assert second["pid"] != first["pid"]
    await tiny.reaches(Phase.AWAKE)
    last_start = (await tiny.state()).last_start
    assert last_start is not None
    assert (last_start.cause, last_start.reason) == (Cause.REPLACEMENT, "SIGKILL")
    assert str(last_start) == "replacement (SIGKILL)"


async def test_a_crash_loop_slows_down_and_the_waiting_request_is_answered_at_its_end(tiny: Tiny) -> None:
    tiny.broken.touch()
    await tiny.begin()
    asking = asyncio.create_task(tiny.ask())
    await soon(lambda: len(tiny.start_times()) >= 4)
    times = tiny.start_times()
    gaps = [later - earlier for earlier, later in pairwise(times)]
    assert all(gap >= pause for gap, pause in zip(gaps, (0.1, 0.2, 0.4), strict=False))
    assert (await tiny.state()).failures >= 3
    tiny.broken.unlink()
    assert (await asking)["shard"] == SHARD


async def test_closing_leaves_no_process_and_no_address(tiny: Tiny, client: httpx.AsyncClient) -> None:
    await tiny.begin()
    pid = (await tiny.ask())["pid"]
    await tiny.runtime.close()
    assert not alive(pid)
    assert not await tiny.runtime.observe()
    with pytest.raises(httpx.ConnectError):
        await client.get(tiny.url)


async def test_closing_while_a_shard_starts_leaves_no_process(tmp_path: Path, client: httpx.AsyncClient) -> None:
    held = tmp_path / "held"
    held.touch()
    tiny = Tiny(tmp_path, client, TINY_HELD=str(held))
    await tiny.begin()
    asking = asyncio.create_task(tiny.ask())
    await tiny.reaches(Phase.STARTING)
    await soon(lambda: bool(tiny.start_times()))
    pid = (await tiny.state()).pid
    await tiny.runtime.close()
    assert pid is not None
    assert not alive(pid)
    with pytest.raises(httpx.TransportError):
        await asking


async def test_a_shard_that_does_not_leave_is_ended_after_the_grace(tmp_path: Path, client: httpx.AsyncClient) -> None:
    tiny = Tiny(tmp_path, client, TINY_STUBBORN="yes")
    await tiny.begin()
    pid = (await tiny.ask())["pid"]
    async with asyncio.timeout(10.0):
        await tiny.runtime.close()
    assert not alive(pid)


async def test_ensuring_the_same_again_changes_nothing_and_another_budget_replaces_the_shard(tiny: Tiny) -> None:
    await tiny.begin()
    pid = (await tiny.ask())["pid"]
    assert await tiny.runtime.ensure(BackendSpec(SHARD, 1 << 20, "lru", 0.0)) == tiny.url
    assert alive(pid)
    await tiny.runtime.ensure(BackendSpec(SHARD, 2 << 20, "lru", 0.0))
    assert not alive(pid)
    assert (await tiny.state()).phase is Phase.ZERO


async def test_the_seconds_of_processes_are_counted(tiny: Tiny) -> None:
    await tiny.begin(idle_s=0.3)
    await tiny.ask()
    await tiny.reaches(Phase.ZERO)
    counted = (await tiny.state()).awake_s
    assert counted >= 0.3
    assert (await tiny.state()).awake_s == counted
