"""Telling awake shards what they own, so that they drop the rest."""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

import httpx

from flstore_core.ids import JobId, ShardId
from flstore_core.placement import Table
from flstore_core.retry import Retry
from services.common import tasks
from services.placement.board import Board
from services.placement.runtime import Phase, ShardState

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
LOOK_S = 60.0
"""Seconds of one wait for a newer table."""


class Assignments:
    """Sends every awake shard each new table once, one message at a time for one shard. Never wakes one."""

    def __init__(self, board: Board, client: httpx.AsyncClient) -> None:
        self._board = board
        self._client = client
        self._tasks: dict[ShardId, asyncio.Task[None]] = {}
        self._read = Table()
        self._owned: Mapping[ShardId, Mapping[JobId, Sequence[int]]] = {}
        """Who owns what by the table that was read last."""

    def changed(self, state: ShardState) -> None:
        """Begin with a shard when it wakes, end when it goes."""
        if state.phase is Phase.AWAKE:
            self._tasks[state.shard] = tasks.begin(self._follow(state), f"assignment of {state.shard}")
        elif state.shard in self._tasks:
            self._tasks.pop(state.shard).cancel()

    async def close(self) -> None:
        following, self._tasks = list(self._tasks.values()), {}
        await tasks.end(*following)

    async def _follow(self, state: ShardState) -> None:
        sent, attempts = 0, Retry().begin()
        while not self._board.closed:
            table = await self._board.newer(sent, LOOK_S)
            if table is None:
                continue
            await asyncio.sleep(attempts.pause_s)
            try:
                await self._send(state, table)
            except httpx.HTTPError as error:
                attempts.failed()
                logger.warning("shard %s did not take its assignment: %r", state.shard, error)
                continue
            attempts.succeeded()
            sent = table.version

    async def _send(self, state: ShardState, table: Table) -> None:
        answer = await self._client.post(
            f"{state.direct_url or state.url}/v1/assignment", json=self._message(table, state.shard), timeout=TIMEOUT_S
        )
        answer.raise_for_status()

    def _message(self, table: Table, shard: ShardId) -> Mapping[str, Any]:
        """Return the body of `POST /v1/assignment`; a table is gone through once for all shards."""
        if self._read is not table:
            self._read, self._owned = table, table.owned()
        return {"version": table.version, "owned": self._owned.get(shard, {})}
