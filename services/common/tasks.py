"""Begins and ends long-lived tasks. A task that fails ends its process.

A service that went on without one of its tasks would look alive, but not do its work. When it ends, whoever started the
process starts it again.
"""

import asyncio
import logging
import os
import signal
from collections.abc import Coroutine
from typing import Any

logger = logging.getLogger(__name__)


def begin(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """Start `work` on the running loop. If it fails, the failure is logged under `name` and the process ends."""
    task = asyncio.create_task(work, name=name)
    task.add_done_callback(_leave_on_failure)
    return task


async def end(*tasks: asyncio.Task[None]) -> None:
    """Cancel `tasks` and wait until all of them have ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


def _leave_on_failure(task: asyncio.Task[None]) -> None:
    if not task.cancelled() and (error := task.exception()):
        logger.error("task %s failed", task.get_name(), exc_info=error)
        os.kill(os.getpid(), signal.SIGTERM)
