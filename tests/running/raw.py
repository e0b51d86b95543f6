"""HTTP requests that no client library would send."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit


@contextmanager
def connected(url: str, timeout: float = 20.0) -> Iterator[socket.socket]:
    parts = urlsplit(url)
    assert parts.hostname
    assert parts.port
    with socket.create_connection((parts.hostname, parts.port), timeout) as connection:
        yield connection


def head(method: str, path: str, *lines: str) -> bytes:
    """Return a request's head; every further line is one header."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: test", *lines, "", ""]).encode()


def answer(connection: socket.socket) -> tuple[int, bytes]:
    """Return the status of the first answer, and all that came until its end or the connection's."""
    data = b""
    while b"\r\n\r\n" not in data and (more := connection.recv(1 << 16)):
        data += more
    start, _, rest = data.partition(b"\r\n\r\n")
    length = next((int(line[15:]) for line in start.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
    while len(rest) < length and (more := connection.recv(1 << 16)):
        rest += more
    return int(start.split()[1]), rest
