"""Keeps the processes of programs while an application is served."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from anyio import to_thread

from services.common import tasks
from services.predictor.confined.pool import Pool

TIDY_EVERY_S = 10.0
"""Seconds between two looks at the processes that nobody uses."""


@asynccontextmanager
async def keeping(processes: Pool) -> AsyncIterator[None]:
    """Have processes start quickly within a block, and end those that nobody uses any more; at last end all."""
    await to_thread.run_sync(processes.start)  # before the first request: a run's time would pass meanwhile
    keeper = tasks.begin(_tidy(processes), "process-keeper")
    yield
    await tasks.end(keeper)
    processes.close()


async def _tidy(processes: Pool) -> None:
    while True:
        await asyncio.sleep(TIDY_EVERY_S)
        await to_thread.run_sync(processes.tidy)
