"""Any ASGI application on a real socket of loopback."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from starlette.types import ASGIApp


@contextmanager
def served(app: ASGIApp, http: type[asyncio.Protocol] | None = None) -> Iterator[str]:
    """Serve `app`, without its lifespan, on a free port, and yield its URL; `http` speaks the protocol."""
    config = uvicorn.Config(app, port=0, http=http or "auto", log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=asyncio.run, args=(server.serve(),))
    thread.start()
    try:
        while not server.started:
            thread.join(0.005)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
