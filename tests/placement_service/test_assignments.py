"""Awake backends are told every table once, in order, and nobody else is called."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Assignment, Table
from services.placement.assignments import Assignments
from services.placement.board import Board
from services.placement.runtime import BackendState, Phase
from tests.fakes.time import FakeTime, settle

ONE, TWO = ShardId("shard-1"), ShardId("shard-2")
JOB = JobId("job")


class Site:
    """Shards that note what they are told, behind a client without a wire."""

    def __init__(self) -> None:
        self.time = FakeTime()
        self.board = Board()
        self.messages: list[tuple[str, int, dict[str, object]]] = []
        self.broken: set[str] = set()
        client = httpx.AsyncClient(transport=httpx.MockTransport(self._answer))
        self.assignments = Assignments(self.board, client, self.time)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        body = json.loads(request.content)
        assert (request.method, request.url.path) == ("POST", "/v1/assignment")
        self.messages.append((request.url.host, body["version"], body["owned"]))
        return httpx.Response(500 if request.url.host in self.broken else 204)

    async def enters(self, shard: ShardId, phase: Phase, direct: str | None = None) -> None:
        self.assignments.changed(BackendState(shard, phase, f"http://{shard}", direct_url=direct))
        await settle()

    async def post(self, version: int, *owners: tuple[ShardId, ...]) -> None:
        self.board.post(Table(version, jobs={JOB: Assignment(owners, len(owners[0]))}))
        await settle()


@asynccontextmanager
async def site() -> AsyncIterator[Site]:
    here = Site()
    try:
        yield here
    finally:
        await here.assignments.close()


async def test_a_shard_that_wakes_is_told_the_table_in_force_and_each_later_one() -> None:
    async with site() as here:
        await here.post(4, (ONE,), (TWO,), (ONE,))
        await here.enters(ONE, Phase.STARTING)
        assert here.messages == []
        await here.enters(ONE, Phase.AWAKE)
        await here.post(5, (TWO,))
        assert here.messages == [("shard-1", 4, {"job": [0, 2]}), ("shard-1", 5, {})]


async def test_the_direct_address_is_used_where_there_is_one() -> None:
    async with site() as here:
        await here.post(1, (ONE,))
        await here.enters(ONE, Phase.AWAKE, "http://10.0.0.7:8080")
        assert [host for host, *_ in here.messages] == ["10.0.0.7"]


@pytest.mark.parametrize("phase", [Phase.LEAVING, Phase.ZERO, Phase.FAILED, Phase.STARTING])
async def test_a_shard_that_is_not_awake_any_more_is_told_nothing(phase: Phase) -> None:
    async with site() as here:
        await here.post(1, (ONE,))
        await here.enters(ONE, Phase.AWAKE)
        await here.enters(ONE, phase)
        await here.post(2, (TWO,))
        assert [version for _, version, _ in here.messages] == [1]
        await here.enters(ONE, Phase.AWAKE)
        assert [version for _, version, _ in here.messages] == [1, 2], "a new process knows no table"


async def test_a_shard_that_does_not_take_it_is_asked_again_with_the_newest_table_in_growing_pauses() -> None:
    async with site() as here:
        here.broken.add("shard-1")
        await here.post(1, (ONE,))
        await here.enters(ONE, Phase.AWAKE)
        await here.enters(TWO, Phase.AWAKE)
        await here.time.advance(0.1)
        await here.time.advance(0.2)
        assert [version for host, version, _ in here.messages if host == "shard-1"] == [1, 1, 1]
        here.broken.clear()
        await here.time.advance(0.4)
        await here.post(3, (ONE,))
        assert [version for host, version, _ in here.messages if host == "shard-1"] == [1, 1, 1, 1, 3]
        assert [version for host, version, _ in here.messages if host == "shard-2"] == [1, 3], (
            "nobody waits for another"
        )


async def test_a_board_that_is_closed_ends_the_telling() -> None:
    async with site() as here:
        await here.enters(ONE, Phase.AWAKE)
        here.board.close()
        await settle()
        await here.post(1, (ONE,))
        assert here.messages == []
