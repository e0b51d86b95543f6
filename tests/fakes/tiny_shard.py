"""Stands in for a shard: says who it is, keeps what it is assigned, and misbehaves on request.

TINY_LOG: file to which each start adds its time. TINY_BROKEN: file whose existence makes the start fail.
TINY_HELD: file for whose end it waits before it serves. TINY_STUBBORN: when set, it does not leave when it is told to.
"""

import json
import os
import sys
import threading
import time
from pathlib import Path

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from services.common.serve import Listen, run

state: dict[str, object] = {"pid": os.getpid(), "shard": os.environ["FLSTORE_SHARD_ID"], "assignment": None}
last_request = time.monotonic()


async def who(_: Request) -> Response:
    global last_request
    last_request = time.monotonic()
    return JSONResponse({**state, "threads": os.environ["OPENBLAS_NUM_THREADS"]})


async def assign(request: Request) -> Response:
    state["assignment"] = await request.json()
    return Response(status_code=204)


def idle() -> bool:
    limit = float(os.environ["FLSTORE_IDLE_SECONDS"])
    return bool(limit) and time.monotonic() - last_request > limit


def never_leave() -> None:
    threading.Event().wait()


if __name__ == "__main__":
    if log := os.environ.get("TINY_LOG"):
        with Path(log).open("a") as file:
            file.write(json.dumps(time.monotonic()) + "\n")
    if os.path.exists(os.environ.get("TINY_BROKEN", "")):
        sys.exit(3)
    while os.path.exists(os.environ.get("TINY_HELD", "")):
        time.sleep(0.01)
    app = Starlette(routes=[Route("/", who), Route("/v1/assignment", assign, methods=["POST"])])
    stubborn = never_leave if "TINY_STUBBORN" in os.environ else None
    run(app, Listen.from_env(os.environ), should_leave=idle, on_leave=stubborn)
