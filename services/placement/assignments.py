"""Tells awake shards which slices they own, so that they drop all others."""

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
from services.placement.runtime import BackendState, Phase
from services.placement.timing import RealTime, Time

logger = logging.getLogger(__name__)

TIMEOUT_S = 5.0
"""Longest call to a shard, in seconds."""
WAIT_S = 60.0
"""Longest single wait for a newer table, in seconds. After it the wait begins again."""


class Assignments:
    """Sends each new table once to every awake backend, one message at a time. It never wakes a backend."""

    def __init__(self, board: Board, client: httpx.AsyncClient, time: Time | None = None) -> None:
        self._board = board
        self._client = client
        self._time = time or RealTime()
        self._tasks: dict[ShardId, asyncio.Task[None]] = {}
        self._table = Table()
        """The table that `_owned` was made from."""
        self._owned: Mapping[ShardId, Mapping[JobId, Sequence[int]]] = {}
        """Backend → job → the slices it owns."""

    def changed(self, state: BackendState) -> None:
        """Start to send tables to a backend that is awake now, and stop for one that is not."""
        if state.id in self._tasks:
            self._tasks.pop(state.id).cancel()
        if state.phase is Phase.AWAKE:
            self._tasks[state.id] = tasks.begin(self._follow_tables(state), f"assignment of {state.id}")

    async def close(self) -> None:
        """Stop sending."""
        following, self._tasks = list(self._tasks.values()), {}
        await tasks.end(*following)

    async def _follow_tables(self, state: BackendState) -> None:
        # `sent` moves on only after a success. So a failed message is sent again, or a newer one in its place.
        sent, attempts = 0, Retry().begin()
        while not self._board.closed:
            table = await self._board.wait_for_newer(sent, WAIT_S)
            if table is None:
                continue
            await self._time.sleep(attempts.pause_s)
            try:
                await self._send(state, table)
            except httpx.HTTPError as error:
                attempts.failed()
                logger.warning("%s did not take its assignment: %r", state.id, error)
                continue
            attempts.succeeded()
            sent = table.version

    async def _send(self, state: BackendState, table: Table) -> None:
        url = f"{state.direct_url or state.url}/v1/assignment"
        answer = await self._client.post(url, json=self._make_message(table, state.id), timeout=TIMEOUT_S)
        answer.raise_for_status()

    def _make_message(self, table: Table, backend: ShardId) -> Mapping[str, Any]:
        """Return the body of `POST /v1/assignment`. A table's owners are computed once and kept for all backends."""
        if self._table is not table:
            self._table, self._owned = table, table.owned()
        return {"version": table.version, "owned": self._owned.get(backend, {})}
