"""Answers runs: a short one at once, a long one by lines of progress and then the result.

A line goes out every `TELL_S` seconds, so the caller can tell a long run from a predictor that is gone. A caller that
closes the connection ends the run. The lines' format stands in `flstore_core.models.protocol`.
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
"""Seconds after which a run counts as long, and between two lines of progress."""


async def follow(request: Request, state: State, message: RunRequest) -> Response:
    """Answer with a run's result: alone, or after lines of progress."""
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
            logger.info("a run was cancelled, since its caller has closed the connection")


def _problem(request: Request, error: BaseException) -> Mapping[str, Any]:
    """Return the problem that would have been the answer if no line had gone out yet."""
    if not isinstance(error, FLStoreError):
        logger.error("run failed", exc_info=error)
        error = FLStoreError("an unexpected error happened; the predictor's log has it under this request_id")
    problem: Mapping[str, Any] = json.loads(bytes(from_error(request, error).body))
    return problem


def _line(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode() + b"\n"
