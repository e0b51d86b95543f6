"""The board: it holds the table in force, and wakes those who wait for a newer one."""

import asyncio

from flstore_core.placement import Table
from services.placement.timing import RealTime, Time, run_within


class Board:
    """Holds the newest table and wakes everybody who waits for it. Used from one event loop."""

    def __init__(self, time: Time | None = None) -> None:
        self._time = time or RealTime()
        self.table = Table()
        self._changed = asyncio.Event()
        self.closed = False
        """Whether waiting ends at once, because the service is leaving."""

    def post(self, table: Table) -> None:
        """Put `table` in force."""
        self.table = table
        self._wake()

    def close(self) -> None:
        """Release everybody who waits now or later, because the service is leaving."""
        self.closed = True
        self._wake()

    async def wait_for_newer(self, version: int, wait_s: float) -> Table | None:
        """Return the table once its version is above `version`; None after `wait_s` or when the board is closed."""
        if self.table.version <= version:
            await run_within(self._time, wait_s, self._wait_for_change(version))
        return self.table if self.table.version > version else None

    async def _wait_for_change(self, version: int) -> None:
        while self.table.version <= version and not self.closed:
            await self._changed.wait()

    def _wake(self) -> None:
        self._changed.set()  # wakes all who wait now; who waits from now on waits for the next change
        self._changed = asyncio.Event()
