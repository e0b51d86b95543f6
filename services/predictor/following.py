"""Runs that somebody waits for: short ones are answered at once, long ones by lines that tell how far they have come.

The lines also keep the connection in use, so that the one who waits needs no patience beyond `TELL_S`, and notices
soon if the predictor is gone; and whoever hangs up ends the run.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Mapping
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from flstore_core.errors import FLStoreError
from flstore_core.models.protocol import PROBLEM, PROGRESS, STREAM_TYPE, WORK, RunRequest
from flstore_core.models.running import Running
from flstore_core.shard.protocol import WORK_HEADER, Answer
from services.common.problems import from_error
from services.predictor.state import State

logger = logging.getLogger(__name__)

TELL_S = 0.5
"""Seconds after which a run counts as long, and between the lines that tell of it."""


async def follow(request: Request, state: State, message: RunRequest) -> Response:
    """Answer with what a run made: as it is, or after lines of progress."""
    running = state.engine.begin()
    task = asyncio.create_task(state.compute(state.engine.run, message, running), name="run")
    await asyncio.wait({task}, timeout=TELL_S)
    if task.done():
        return _whole(task.result())
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # nobody may be left to see it
    return StreamingResponse(_lines(request, task, running), media_type=STREAM_TYPE)


def _whole(answer: Answer) -> Response:
    headers = {WORK_HEADER: answer.work.to_header()}
    return Response(b"".join(answer.parts), headers=headers, media_type="application/octet-stream")


async def _lines(request: Request, task: asyncio.Task[Answer], running: Running) -> AsyncIterator[bytes | memoryview]:
    """Yield JSON objects, one a line: progress, and at last a problem, or what the run took with its answer behind."""
    try:
        while not task.done():
            yield _line({PROGRESS: running.progress})
            await asyncio.wait({task}, timeout=TELL_S)
        if error := task.exception():
            yield _line({PROBLEM: _problem(request, error)})
            return
        answer = task.result()
        yield _line({WORK: answer.work.to_json()})
        for part in answer.parts:
            yield part
    finally:
        if not task.done():
            running.cancel()
            logger.info("a run was given up: whoever asked for it has hung up")


def _problem(request: Request, error: BaseException) -> Mapping[str, Any]:
    """Return what would have been answered, had the answer not begun."""
    if not isinstance(error, FLStoreError):
        logger.error("run failed", exc_info=error)
        error = FLStoreError("something unforeseen happened; the predictor's log has it under this request_id")
    told: Mapping[str, Any] = json.loads(bytes(from_error(request, error).body))
    return told


def _line(told: object) -> bytes:
    return json.dumps(told, separators=(",", ":")).encode() + b"\n"
