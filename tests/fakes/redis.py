"""As much of Redis as a cache of models needs, over the real protocol (RESP 2) on a loopback socket."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO


@dataclass
class FakeRedis:
    """What a test sees and sets of the server.

    Attributes:
        limit: bytes beyond which a value is refused, as Redis refuses what is larger than its memory.
        piece: bytes of an answer sent at once, so that a test can have answers arrive in parts.
        broken: whether the server hangs up in the middle of its next answer.
    """

    address: tuple[str, int] = ("127.0.0.1", 0)
    values: dict[str, bytes] = field(default_factory=dict)
    commands: list[tuple[str, str]] = field(default_factory=list)
    connections: int = 0
    limit: int = 1 << 30
    piece: int = 1 << 16
    broken: bool = False


@contextmanager
def fake_redis() -> Iterator[FakeRedis]:
    """Serve a `FakeRedis` on a free port; every connection has a thread, which ends with the block."""
    state, threads, open_sockets = FakeRedis(), [], []
    listening = socket.create_server(("127.0.0.1", 0))
    state.address = listening.getsockname()

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            state.connections += 1
            open_sockets.append(connection)
            threads.append(threading.Thread(target=_serve, args=(state, connection)))
            threads[-1].start()

    acceptor = threading.Thread(target=accept)
    acceptor.start()
    try:
        yield state
    finally:
        listening.shutdown(socket.SHUT_RDWR)
        listening.close()
        acceptor.join()
        for connection in open_sockets:
            with _ignored():
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join()


@contextmanager
def _ignored() -> Iterator[None]:
    try:
        yield
    except OSError:
        return


def _serve(state: FakeRedis, connection: socket.socket) -> None:
    with _ignored(), connection, connection.makefile("rb") as lines:
        while header := lines.readline():
            words = [_bulk(lines) for _ in range(int(header[1:]))]
            name, key = words[0].decode(), words[1].decode()
            state.commands.append((name, key))
            answer = _set(state, key, words[2]) if name == "SET" else _get(state, key)
            if state.broken:
                connection.sendall(answer[: len(answer) // 2])
                return
            for start in range(0, len(answer), state.piece):
                connection.sendall(answer[start : start + state.piece])


def _bulk(lines: BinaryIO) -> bytes:
    length = int(lines.readline()[1:])
    return lines.read(length + 2)[:-2]


def _set(state: FakeRedis, key: str, value: bytes) -> bytes:
    if len(value) > state.limit:
        return b"-OOM command not allowed when used memory > 'maxmemory'.\r\n"
    state.values[key] = value
    return b"+OK\r\n"


def _get(state: FakeRedis, key: str) -> bytes:
    value = state.values.get(key)
    return b"$-1\r\n" if value is None else b"$%d\r\n%b\r\n" % (len(value), value)
