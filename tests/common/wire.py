"""A server in the test's own event loop, and one connection to it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from services.common.connections import BoundedProtocol

FINE = PlainTextResponse("fine")
Pair = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(protocol: type[BoundedProtocol] = BoundedProtocol, app: ASGIApp = FINE) -> AsyncIterator[Pair]:
    """Connect to an app, by default one that answers everything with "fine"."""
    config = uvicorn.Config(app, http=protocol, log_config=None, lifespan="off")
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(lambda: protocol(config, state, {}), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
    try:
        yield reader, writer
    finally:
        writer.close()
        server.close()
        await server.wait_closed()
        await asyncio.gather(*state.tasks, return_exceptions=True)
