"""A Redis server as a child process, and a client for large values that copies their bytes once."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, LifoQueue

import numpy as np

from flstore_core.errors import Unavailable
from flstore_core.storage.network import Profile, crossing
from loadgen.systems.processes import ENDS_WITH_US

START_S = 10.0
TIMEOUT_S = 60.0
_LOOK_S = 0.02
"""Seconds between two attempts to connect to a server that starts."""
_LINE_BYTES = 512
"""Bytes read at once while a reply's first line is looked for: few, since a value after it is received in place."""


@contextmanager
def redis_server(max_bytes: int) -> Iterator[tuple[str, int]]:
    """Run redis-server as an LRU cache of `max_bytes`, and yield its loopback address.

    Raises:
        Unavailable: if it is not installed, or does not start.
    """
    address = ("127.0.0.1", _free_port())
    with tempfile.TemporaryDirectory(prefix="redis-") as folder:
        process = _start(address, max_bytes, folder)
        try:
            _wait_until_listening(address, process)
            yield address
        finally:
            process.terminate()
            process.wait()


def _start(address: tuple[str, int], max_bytes: int, folder: str) -> subprocess.Popen[bytes]:
    host, port = address
    settings = ["--bind", host, "--port", str(port), "--dir", folder, "--save", "", "--appendonly", "no"]
    settings += ["--maxmemory", str(max_bytes), "--maxmemory-policy", "allkeys-lru", "--maxmemory-samples", "10"]
    program = shutil.which("redis-server")
    if program is None:
        raise Unavailable("redis-server is missing; install the Debian package redis-server")
    return subprocess.Popen(  # noqa: S603 - as the user has it installed, our own arguments
        [*ENDS_WITH_US, program, *settings],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def _wait_until_listening(address: tuple[str, int], process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_S
    while True:
        with suppress(OSError), socket.create_connection(address, timeout=1.0):
            return
        if process.poll() is not None or time.monotonic() > deadline:
            raise Unavailable(f"redis-server does not answer on port {address[1]}")
        time.sleep(_LOOK_S)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


class RedisClient:
    """GET and SET of large values over pooled connections. Safe to share between threads.

    Args:
        link: network link that is simulated in front of the server.
    """

    def __init__(self, address: tuple[str, int], link: Profile) -> None:
        self._address = address
        self._link = link
        self._idle: LifoQueue[socket.socket] = LifoQueue()

    def get(self, key: str) -> memoryview | None:
        """Return a value, or None for an absent key; raise `OSError` if Redis does not answer."""
        with crossing(self._link) as moved, self._connection() as connection:
            connection.sendall(_command(b"GET", key.encode()))
            line, rest = _line(connection)
            if line == b"$-1":
                return None
            value = _bulk(connection, int(line[1:]), rest)
            moved.append(len(value))
            return value

    def set(self, key: str, value: bytes | memoryview) -> bool:
        """Store a value, and return whether Redis accepted it: it refuses a value larger than its memory."""
        with crossing(self._link) as moved, self._connection() as connection:
            moved.append(len(value))
            connection.sendall(_command(b"SET", key.encode()) + b"$%d\r\n" % len(value))
            connection.sendall(value)
            connection.sendall(b"\r\n")
            return _line(connection)[0] == b"+OK"

    def close(self) -> None:
        with suppress(Empty):
            while True:
                self._idle.get_nowait().close()

    @contextmanager
    def _connection(self) -> Iterator[socket.socket]:
        try:
            connection = self._idle.get_nowait()
        except Empty:
            connection = socket.create_connection(self._address, timeout=TIMEOUT_S)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            yield connection
        except BaseException:
            connection.close()
            raise
        self._idle.put(connection)


def _command(name: bytes, key: bytes) -> bytes:
    """Return a command of the Redis protocol up to its value, if it has one."""
    parts = 2 if name == b"GET" else 3
    return b"*%d\r\n$%d\r\n%b\r\n$%d\r\n%b\r\n" % (parts, len(name), name, len(key), key)


def _line(connection: socket.socket) -> tuple[bytes, bytes]:
    """Return a reply's first line, and the bytes that were received after it."""
    got = b""
    while b"\r\n" not in got:
        piece = connection.recv(_LINE_BYTES)
        if not piece:
            raise ConnectionResetError("Redis closed the connection")
        got += piece
    line, _, rest = got.partition(b"\r\n")
    return line, rest


def _bulk(connection: socket.socket, nbytes: int, rest: bytes) -> memoryview:
    """Return a value of `nbytes` bytes, of which `rest` has been received already; drop the CRLF after it."""
    value = memoryview(np.empty(nbytes + 2, np.uint8).data)
    value[: len(rest)] = rest
    filled = len(rest)
    while filled < len(value):
        count = connection.recv_into(value[filled:])
        if not count:
            raise ConnectionResetError("Redis closed the connection")
        filled += count
    return value[:nbytes]
