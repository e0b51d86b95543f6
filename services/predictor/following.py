"""Answers requests to run models: a short run by its result, a long one by lines of progress and then its result.

A line is sent every `PROGRESS_EVERY_S` seconds, so that the caller can tell a long run from a predictor that is gone.
If the caller closes the connection, the run is cancelled. `flstore_core.models.protocol` has the format of the lines.
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

PROGRESS_EVERY_S = 0.5
"""Seconds after which a run counts as long, and then seconds between two lines of progress."""


async def follow(request: Request, state: State, message: RunRequest) -> Response:
    """Start a run, and answer with its result alone or with lines of progress before it."""
    running = state.engine.begin()
    task = asyncio.create_task(state.compute(state.engine.run, message, running), name="run")
    await asyncio.wait({task}, timeout=PROGRESS_EVERY_S)
    if task.done():
        return _whole(task.result())
    # Ask for the task's error in any case: if the caller has gone, nobody else does, and asyncio would complain.
    task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    return StreamingResponse(_lines(request, task, running), media_type=STREAM_TYPE)


def _whole(answer: Answer) -> Response:
    headers = {WORK_HEADER: answer.work.to_header()}
    return Response(b"".join(answer.parts), headers=headers, media_type="application/octet-stream")


async def _lines(request: Request, task: asyncio.Task[Answer], running: Running) -> AsyncIterator[bytes | memoryview]:
    """Yield lines of JSON with the progress, and at last a line with a problem, or one with the work and the answer."""
    try:
        while not task.done():
            yield _line({PROGRESS: running.progress})
            await asyncio.wait({task}, timeout=PROGRESS_EVERY_S)
        if error := task.exception():
            yield _line({PROBLEM: _problem(request, error)})
            return
        answer = task.result()
        yield _line({WORK: answer.work.to_json()})
        for part in answer.parts:
            yield part
    finally:
        if not task.done():  # the server closes this generator when the caller closes the connection
            running.cancel()
            logger.info("a run was cancelled, because its caller closed the connection")


def _problem(request: Request, error: BaseException) -> Mapping[str, Any]:
    """Return the problem document of an error. The status was sent with the first line, so it cannot tell any more."""
    if not isinstance(error, FLStoreError):
        logger.error("run failed", exc_info=error)
        error = FLStoreError("an unexpected error happened; the predictor's log has it under this request_id")
    problem: Mapping[str, Any] = json.loads(bytes(from_error(request, error).body))
    return problem


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
