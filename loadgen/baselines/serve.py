"""Serves a baseline's application, as a child of a supervisor or by itself."""

import os
import signal
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

import uvicorn
from starlette.types import ASGIApp

READY = b"."
"""Written to the lifeline once requests are answered; see `services.local.supervisor`."""
DEFAULT_PORT = 8090


def serve(app: ASGIApp, env: Mapping[str, str]) -> None:
    """Serve `app` until SIGTERM or SIGINT, or until the lifeline ends because the supervisor is gone."""
    config = uvicorn.Config(
        app, loop="uvloop", http="httptools", ws="none", lifespan="on", access_log=False, log_level="warning"
    )
    lifeline = env.get("FLSTORE_LIFELINE_FD")
    server = _Server(config, int(lifeline) if lifeline else None)
    server.run(sockets=[_socket(env)])


class _Server(uvicorn.Server):
    """uvicorn's server, which reports on the lifeline that it is ready, and leaves when the lifeline ends."""

    def __init__(self, config: uvicorn.Config, lifeline_fd: int | None) -> None:
        super().__init__(config)
        self._lifeline_fd = lifeline_fd

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._lifeline_fd is not None:
            threading.Thread(target=_follow, args=(self._lifeline_fd,), daemon=True).start()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals without raising them again afterwards, which would end the process before its cleanup."""
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _follow(lifeline_fd: int) -> None:
    """Report that the server is ready; end the process once the supervisor's end of the lifeline is closed."""
    with suppress(OSError):
        os.write(lifeline_fd, READY)
        while os.read(lifeline_fd, 1):
            pass
    os.kill(os.getpid(), signal.SIGTERM)


def _socket(env: Mapping[str, str]) -> socket.socket:
    if inherited := env.get("FLSTORE_LISTEN_FD"):
        return socket.socket(fileno=int(inherited))
    host, port = env.get("FLSTORE_HOST") or "127.0.0.1", int(env.get("FLSTORE_PORT") or DEFAULT_PORT)
    return socket.create_server((host, port), backlog=1024)
