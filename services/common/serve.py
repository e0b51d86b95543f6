"""Serves one ASGI app until a signal comes, the app asks to leave, or the process that started it dies.

A parent may open the listening socket of a service and keep it. Connections that come while the service is at zero then
wait in the kernel's backlog, and the parent starts a process as soon as the socket is readable. The service inherits
two file descriptors, whose numbers are in its environment:

    FLSTORE_LISTEN_FD=7      the listening socket, to accept from
    FLSTORE_LIFELINE_FD=9    one end of a socket pair; the parent holds the other

    parent                                            service
    socketpair(), start the process with fds 7, 9 →
                                                      imports, opens its side door on port 40123
                                   "40123\n" ← 9      ready: accepts from 7
    asks http://127.0.0.1:40123/… without waking anyone
    dies or closes its end →       end-of-file → 9    leaves, as on SIGTERM

The lifeline ends however the parent dies, by SIGKILL too, so no service outlives its parent. Port 0 on the lifeline
means that there is no side door. Without a listening socket the service binds FLSTORE_HOST:FLSTORE_PORT itself.
"""

import asyncio
import gc
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

from starlette.types import ASGIApp

from flstore_core.errors import FLStoreError
from services.common.asgi import Config, Server
from services.common.renewal import NEVER, Renewal
from services.common.settings import Variables, read, whole

KEEP_ALIVE_S = 75
"""Seconds that an idle connection stays open: longer than our clients keep it, so that the client closes first. If the
service did, a request could be on its way to it just then, and fail."""

BACKLOG = 2048
GARBAGE_THRESHOLD = 10_000
"""New objects, less those that were freed, between two collections of the youngest generation. A request allocates
hundreds, and hardly ever a cycle. Objects that exist at the start, which are most, are frozen and never scanned."""
LINGER_S = 0.5
"""Seconds for which the process may be kept from ending by threads that work for callers who are gone."""

_LAST_REQUESTS_S = 0.02
"""Seconds in which requests can still reach the app on connections that were accepted just before listening ended."""


@dataclass(frozen=True)
class Listen:
    """Where a service listens, and how it learns that its parent has died."""

    host: str = "127.0.0.1"
    """FLSTORE_HOST: address to bind."""
    port: int = 8000
    """FLSTORE_PORT: port to bind; 0 takes a free one."""
    listen_fd: int | None = None
    """FLSTORE_LISTEN_FD: an inherited listening socket, used in place of host and port."""
    lifeline_fd: int | None = None
    """FLSTORE_LIFELINE_FD: one end of an inherited socket pair. End-of-file there means that the parent is dead."""
    grace_s: float = 5.0
    """FLSTORE_GRACE_SECONDS: seconds in which answers under way have to end once the service is told to leave."""

    @classmethod
    def from_env(cls, env: Mapping[str, str]) -> "Listen":
        """Read the FLSTORE_* variables named above; raise `InvalidParameters` for what is not usable."""
        variables: Variables = {
            "FLSTORE_HOST": ("host", str),
            "FLSTORE_PORT": ("port", whole(0, 65535)),
            "FLSTORE_LISTEN_FD": ("listen_fd", whole(0)),
            "FLSTORE_LIFELINE_FD": ("lifeline_fd", whole(0)),
            "FLSTORE_GRACE_SECONDS": ("grace_s", whole(1)),
        }
        return cls(**read(env, variables))


def run(
    app: ASGIApp,
    listen: Listen,
    *,
    renewal: Renewal = NEVER,
    side_door: bool = False,
    should_leave: Callable[[], bool] | None = None,
    on_leave: Callable[[], None] | None = None,
    web_sockets: bool = False,
) -> None:
    """Serve `app` and return when it is time to leave; the caller then ends with exit code 0.

    The service leaves on SIGTERM, SIGINT, end-of-file on the lifeline, or when `should_leave`, which is asked ten times
    a second, returns True. It then stops listening, calls `on_leave`, finishes the answers under way within
    `listen.grace_s`, and runs the app's lifespan to its end. All this works as PID 1 too.

    `renewal` says when connections end, so that load spreads over all copies of the service.

    With a `side_door`, the app is served on a free loopback port as well, which the lifeline tells the parent. That
    port ends with the process, so asking there how a service is never starts one that is at zero.

    Raises:
        OSError: if the address cannot be bound.
    """
    sockets = [_socket(listen), *([_side_door()] if side_door else [])]
    side_port = sockets[1].getsockname()[1] if side_door else 0
    config = Config(
        app,
        loop="uvloop",
        http=renewal.protocol(),
        ws="websockets-sansio" if web_sockets else "none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        backlog=BACKLOG,
        timeout_keep_alive=KEEP_ALIVE_S,
        timeout_graceful_shutdown=max(1, round(listen.grace_s)),
    )
    server = _Server(config, listen.lifeline_fd, ready_message(side_port), should_leave, on_leave)
    if listen.lifeline_fd is not None:
        _watch_lifeline(listen.lifeline_fd, listen.grace_s)
    gc.freeze()
    gc.set_threshold(GARBAGE_THRESHOLD)
    gc.enable()
    server.run(sockets=sockets)
    _exit_after(LINGER_S, 0)


def start(main: Callable[[], None]) -> None:
    """Run a service's `main`. What keeps it from starting is one line on stderr and exit code 1, no traceback."""
    try:
        main()
    except (FLStoreError, OSError) as error:
        sys.exit(f"error: {error}")


def ready_message(side_port: int) -> bytes:
    """Return what is written to the lifeline once requests are answered: the side door's port, 0 without one."""
    return b"%d\n" % side_port


class _Server(Server):
    """uvicorn's server that also asks `should_leave`, tells when it is ready, and loses no accepted connection."""

    def __init__(
        self,
        config: Config,
        lifeline_fd: int | None,
        ready: bytes,
        should_leave: Callable[[], bool] | None,
        on_leave: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._lifeline_fd = lifeline_fd
        self._ready = ready
        self._should_leave = should_leave
        self._on_leave = on_leave

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._lifeline_fd is not None:
            with suppress(OSError):  # the parent has died; the thread that watches the lifeline ends the service
                os.write(self._lifeline_fd, self._ready)

    async def on_tick(self, counter: int) -> bool:
        return await super().on_tick(counter) or (self._should_leave is not None and self._should_leave())

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        # The order matters: no new connections, then a pause in which the last requests begin, and only then uvicorn's
        # own shutdown, which closes connections on which no request has begun.
        for server in self.servers:
            server.close()
        await asyncio.sleep(_LAST_REQUESTS_S)
        if self._on_leave is not None:
            self._on_leave()
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Handle signals without raising them again afterwards, as uvicorn would: the exit code has to be 0."""
        previous = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in previous.items():
                signal.signal(number, handler)


def _watch_lifeline(lifeline_fd: int, grace_s: float) -> None:
    """Leave when the lifeline ends. A process that is too busy to leave by itself is ended after twice the grace."""

    def wait_for_end() -> None:
        with suppress(OSError):
            while os.read(lifeline_fd, 1):
                pass
        os.kill(os.getpid(), signal.SIGTERM)
        _exit_after(2 * grace_s, 1)

    threading.Thread(target=wait_for_end, name="lifeline", daemon=True).start()


def _exit_after(seconds: float, code: int) -> None:
    """End the process after `seconds`, whatever its threads are waiting for."""
    timer = threading.Timer(seconds, os._exit, [code])
    timer.daemon = True
    timer.start()


def _socket(listen: Listen) -> socket.socket:
    if listen.listen_fd is not None:
        return socket.socket(fileno=listen.listen_fd)
    return socket.create_server((listen.host, listen.port), family=family(listen.host), backlog=BACKLOG)


def _side_door() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0), backlog=BACKLOG)


def family(host: str) -> socket.AddressFamily:
    """Return the family of an address."""
    return socket.AF_INET6 if ":" in host else socket.AF_INET
