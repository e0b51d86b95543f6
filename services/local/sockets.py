"""The sockets on which the processes of this machine listen, and their addresses."""

import errno
import socket

from flstore_core.errors import InvalidParameters
from services.common.serve import family
from services.local.settings import HOST

EVERY_ADDRESS = {"0.0.0.0": HOST, "::": "::1"}  # noqa: S104 - where others are told to listen, not a default
"""Addresses that stand for all of this machine's, and one of its own by which each is reached."""
BACKLOG = 1024


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens; raise `InvalidParameters` if the port cannot be had."""
    if not 0 <= port <= 65535:
        raise InvalidParameters(f"port {port} is not usable; choose 0 to 65535")
    try:
        return socket.create_server((host, port), family=family(host), backlog=BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise InvalidParameters(
                f"port {port} of {host} is in use; choose another, or stop the program that listens there"
            ) from error
        raise InvalidParameters(f"port {port} of {host} cannot be used: {error.strerror}") from error


def reachable(opened: socket.socket) -> tuple[str, int]:
    """Return host and port by which this machine reaches a socket."""
    host, port, *_ = opened.getsockname()
    return EVERY_ADDRESS.get(host, host), port


def url_of(opened: socket.socket) -> str:
    """Return an address by which this machine reaches a socket."""
    host, port = reachable(opened)
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
