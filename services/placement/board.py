"""The table in force, for those who wait for a newer one."""

import asyncio

from flstore_core.placement import Table


class Board:
    """Holds the newest table and wakes whoever waits for it. Used from one event loop."""

    def __init__(self) -> None:
        self.table = Table()
        self._changed = asyncio.Event()
        self.closed = False
        """Whether everybody who waits has been let go."""

    def post(self, table: Table) -> None:
        self.table = table
        self._wake()

    def close(self) -> None:
        """Let everybody who waits go, now and later: the service is leaving."""
        self.closed = True
        self._wake()

    async def newer(self, version: int, wait_s: float) -> Table | None:
        """Return the table as soon as its version is above `version`; None when `wait_s` passes first."""
        try:
            async with asyncio.timeout(wait_s):
                while self.table.version <= version and not self.closed:
                    await self._changed.wait()
        except TimeoutError:
            return None
        return self.table if self.table.version > version else None

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()
